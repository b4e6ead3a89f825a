"""Test-wide plugins and settings: the brokers that integration tests run against, and how Hypothesis searches."""

from __future__ import annotations

import os

from hypothesis import settings

pytest_plugins = ["headgate_local.fixtures"]

# A busy machine is slow, not wrong. CI tries the same examples each time; a developer's runs try new ones.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")
