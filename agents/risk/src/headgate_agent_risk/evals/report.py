"""Where figures go: a table for people, a file for machines."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headgate_agent_risk.evals.cases import Bound


def missed(figures: Mapping[str, float], bounds: Mapping[str, Bound]) -> list[str]:
    """Names of the bounded figures that do not keep to their bound."""
    return [name for name, bound in bounds.items() if not bound.holds(figures.get(name))]


def table(title: str, figures: Mapping[str, float], bounds: Mapping[str, Bound]) -> Table:
    """Figures beside their bounds; a bounded figure that could not be computed is shown as missed."""
    rows = Table("figure", "value", "bound", "", title=title)
    for name in [*figures, *(name for name in bounds if name not in figures)]:
        value = figures.get(name)
        bound = bounds.get(name)
        verdict = "" if bound is None else "ok" if bound.holds(value) else "[red]missed[/red]"
        rows.add_row(name, "-" if value is None else _shown(value), "" if bound is None else str(bound), verdict)
    return rows


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.3f}"  # noqa: PLR2004 - digits shown


def write(root: Path, name: str, figures: Mapping[str, float], details: Mapping[str, Any]) -> Path:
    """Write ``build/eval/<name>.json`` under ``root`` and return its path."""
    path = root / "build" / "eval" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "kind": "eval",
        "name": name,
        "figures": {name: round(value, 6) for name, value in figures.items()},
        "commit": _commit(root),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "platform": platform.platform()},
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "details": dict(details),
    }
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return path


def _commit(root: Path) -> str | None:
    """The commit checked out at ``root``; None outside a repository."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(root), "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    return found.stdout.strip() or None
