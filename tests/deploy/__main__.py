"""Checks everything that is installed from: ``python -m tests.deploy [PART ...]``; all parts where none is named.

A part is a module of this package with ``check() -> Mapping[str, float]``: its figures by name, a tool's figure 1 where it
found nothing wrong and 0 where it did; ``ran`` is 0 where the part could not be looked at. What was measured beside that (sizes, seconds) has its unit at the end of its name.
All figures go to build/check/deploy.json; a part that runs alone replaces its own and keeps the others'.
"""

from __future__ import annotations

import argparse
import json
import pkgutil
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from headgate_local.figures import write_figures
from rich.console import Console
from rich.table import Table

import tests.deploy
from tests.deploy.tools import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "check" / "deploy.json"
UNITS = ("_s", "_ms", "_bytes", "_mb")


def parts() -> dict[str, ModuleType]:
    """Every part by its name."""
    modules = {m.name: import_module(f"tests.deploy.{m.name}") for m in pkgutil.iter_modules(tests.deploy.__path__)}
    return {name: module for name, module in modules.items() if name != "__main__" and hasattr(module, "check")}


def unclean(figures: Mapping[str, float]) -> list[str]:
    """What is not as it has to be."""
    return [name for name, value in figures.items() if not name.endswith(UNITS) and value != 1]


def kept() -> dict[str, float]:
    """The figures of earlier runs."""
    return dict(json.loads(KEPT.read_text(encoding="utf-8"))["figures"]) if KEPT.exists() else {}


def main(arguments: Sequence[str]) -> int:
    """Run the named parts, print and write their figures; 1 where a tool found something."""
    found = parts()
    parser = argparse.ArgumentParser(prog="python -m tests.deploy", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[[], *sorted(found)], help="all, where none is named")
    chosen: list[str] = parser.parse_args(arguments).part or sorted(found)
    figures: dict[str, float] = {}
    console = Console()
    for name in chosen:
        try:
            figures.update({f"{name}_{figure}": value for figure, value in found[name].check().items()})
        except ToolError as error:  # the other parts may have theirs
            console.print(f"{name}: {error}", style="red", markup=False)
            figures[f"{name}_ran"] = 0
    table = Table("figure", "value", title="Deployment")
    for name, value in figures.items():
        table.add_row(name, f"{value:g}")
    console.print(table)
    others = {k: v for k, v in kept().items() if not k.startswith(tuple(f"{name}_" for name in chosen))}
    write_figures("check", "deploy", {**others, **figures}, root=ROOT)
    missed = unclean(figures)
    for name in missed:
        console.print(f"{name} is not clean, see above", style="red")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
