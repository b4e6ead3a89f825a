"""Figures of a bench for a person: one table, each figure with at most four significant decimals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DECIMALS = 4


def rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures to four significant digits; a whole part keeps all of its digits."""
    return {name: _rounded(value) for name, value in figures.items()}


def print_figures(title: str, figures: Mapping[str, float], path: Path) -> None:
    """Print figures as a table, and the file that holds them."""
    table = Table("figure", "value", title=title)
    table.columns[1].justify = "right"
    for name, value in rounded(figures).items():
        table.add_row(name, f"{value:,}")
    console = Console()
    console.print(table)
    console.print(str(path), style="dim", soft_wrap=True)


def _rounded(value: float) -> float:
    return round(value) if abs(value) >= 10 ** (DECIMALS - 1) else float(f"{value:.{DECIMALS}g}")
