"""An agent's version: one short hash that changes when a decision could."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHARS = 12


def version_of(parts: Mapping[str, Any]) -> str:
    """Hash all that a decision depends on besides the event: JSON values, and sets of what can be sorted."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=sorted)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_CHARS]


def code_digest(package: str) -> str:
    """SHA-256 over the source of an agent's top-level modules and this package's, hexadecimal.

    Their sub-packages take no part in a decision.
    """
    digest = hashlib.sha256()
    for name in (package, __package__):
        modules = (entry for entry in files(name).iterdir() if entry.name.endswith(".py"))
        for module in sorted(modules, key=lambda entry: entry.name):
            digest.update(module.name.encode() + b"\0" + module.read_bytes() + b"\0")
    return digest.hexdigest()
