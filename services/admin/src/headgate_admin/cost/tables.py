"""Tables for people and programs: what the cost commands print and the pages show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes:
        name: Short, for programs.
        title: What it shows.
        columns: Their heads.
        rows: Cells as they are shown.
        note: What follows from it, one line.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def document(self) -> dict[str, Any]:
        """All of it in JSON form."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "note": self.note}


def usd(value: float) -> str:
    """Dollars, with as many places as say something."""
    if value >= 1000:  # noqa: PLR2004 - four digits are enough
        return f"${value:,.0f}"
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.4f}"


def rate(events_per_s: float) -> str:
    """A rate of events."""
    return f"{events_per_s:,.0f}/s"
