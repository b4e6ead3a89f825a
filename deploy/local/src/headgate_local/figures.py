"""Measured figures on disk: one flat object of numbers a command, with what is needed to compare two of them."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import platform
import subprocess
from typing import TYPE_CHECKING, Any

from headgate_local.folder import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_figures(
    kind: str, name: str, figures: Mapping[str, float], *, details: Mapping[str, Any] | None = None, root: Path
) -> Path:
    """Write ``<root>/build/<kind>/<name>.json`` and return its path.

    Args:
        kind: What measured it: ``bench``, ``check``, ``chaos``, ``demo``, ``eval``.
        name: The file's name without its ending.
        figures: Finite numbers by name; names carry their unit (``freshness_p99_ms``).
        details: Anything else JSON can hold, for a reader rather than a comparison.
        root: The project's root, a git work tree or not.

    Raises:
        ValueError: A figure is not a finite number.
    """
    if wrong := [key for key, value in figures.items() if not math.isfinite(value)]:
        raise ValueError(f"not a finite number: {', '.join(wrong)}")
    report = {
        "kind": kind,
        "name": name,
        "figures": dict(figures),
        "details": dict(details or {}),
        "commit": _commit(root),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "platform": platform.platform(),
        },
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    path = root / "build" / kind / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(report, indent=2) + "\n")
    return path


def _commit(root: Path) -> str | None:
    """The commit the work tree stands on, ``-dirty`` added when tracked files differ from it; None without git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603 - constant words
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
