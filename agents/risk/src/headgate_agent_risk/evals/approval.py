"""The version of the agent that passed its evaluation, pinned beside the golden set: whoever changes it has it pass again."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

from headgate_agent_risk.context import load_context

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_MODEL = "none"
"""Stands for the model's id in a version of everything but the model."""
_FILE = "approved.json"


def current_version() -> str:
    """The version of prompts, tools, rules, policy, reference data and code as they are, whichever model is asked."""
    return load_context(NO_MODEL).version


def approved_version() -> str:
    """The version that was approved last."""
    known: dict[str, Any] = json.loads(files(__package__).joinpath(_FILE).read_text(encoding="utf-8"))
    return str(known["agent_version"])


def approve(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Pin the current version, with the bounded figures it passed with, by part; returns the version.

    Raises:
        OSError: The package is installed where it cannot be written; work on a checkout.
    """
    version = current_version()
    rounded = {
        part: {name: round(value, 3) for name, value in passed.items()} for part, passed in sorted(figures.items())
    }
    with as_file(files(__package__).joinpath(_FILE)) as path:
        path.write_text(json.dumps({"agent_version": version, "figures": rounded}, indent=2) + "\n", encoding="utf-8")
    return version
