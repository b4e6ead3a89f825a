"""Figures held against their bounds: written, printed as a table, and turned into an exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate_local.figures import write_figures
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Bound:
    """What a figure has to keep to; ``at_least`` and ``at_most`` include the value itself."""

    figure: str
    at_least: float | None = None
    at_most: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a value is within."""
        return not (
            (self.at_least is not None and value < self.at_least) or (self.at_most is not None and value > self.at_most)
        )

    def __str__(self) -> str:
        if self.at_least is not None and self.at_least == self.at_most:
            return f"= {self.at_least:g}"
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


def report(
    kind: str, name: str, figures: Mapping[str, float], bounds: Sequence[Bound], details: Mapping[str, Any]
) -> int:
    """Write ``build/<kind>/<name>.json``, print the figures, and return 1 where one is out of bounds or absent."""
    by_figure = {bound.figure: bound for bound in bounds}
    missed = [bound for bound in bounds if bound.figure not in figures or not bound.holds(figures[bound.figure])]
    table = Table("figure", "value", "bound", title=f"{kind}: {name}")
    for figure, value in figures.items():
        bound = by_figure.get(figure)
        table.add_row(figure, f"{value:,}", str(bound or ""), style="red" if bound in missed else None)
    console = Console()
    console.print(table)
    for bound in missed:
        console.print(f"{bound.figure} is {figures.get(bound.figure)}, wanted {bound}", style="red")
    path = write_figures(kind, name, figures, details=dict(details), root=ROOT)
    console.print(str(path.relative_to(ROOT)), style="dim")
    return 1 if missed else 0
