"""An estimate: a workload's bill, with what would be paid idle apart from what comes with events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headgate_admin.cost.lines import Line, bill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_admin.cost.figures import Book
    from headgate_admin.cost.workload import Workload


@dataclass(frozen=True)
class Entry:
    """A line with what of it is paid for an idle pipeline, US dollars a month."""

    line: Line
    fixed_usd: float

    @property
    def variable_usd(self) -> float:
        """What comes with events."""
        return self.line.monthly_usd - self.fixed_usd


@dataclass(frozen=True)
class Estimate:
    """What a workload costs."""

    work: Workload
    entries: Sequence[Entry]

    @property
    def fixed_usd(self) -> float:
        """Idle, a month."""
        return sum(entry.fixed_usd for entry in self.entries)

    @property
    def variable_usd(self) -> float:
        """With the events, a month."""
        return sum(entry.variable_usd for entry in self.entries)

    @property
    def monthly_usd(self) -> float:
        """In all, a month."""
        return self.fixed_usd + self.variable_usd

    def per_million(self, usd: float) -> float:
        """A month's dollars by the millions of events of that month."""
        return usd / self.work.events_a_month * 1e6

    def document(self, book: Book) -> dict[str, Any]:
        """All of it in JSON form, each line with where its prices are from."""
        return {
            "region": book.prices.region,
            "workload": self.work.model_dump(),
            "events_a_month": self.work.events_a_month,
            "fixed_usd_a_month": round(self.fixed_usd, 2),
            "variable_usd_a_month": round(self.variable_usd, 2),
            "variable_usd_per_million_events": round(self.per_million(self.variable_usd), 6),
            "usd_per_million_events": round(self.per_million(self.monthly_usd), 6),
            "lines": [self._line(entry, book) for entry in self.entries],
        }

    def _line(self, entry: Entry, book: Book) -> dict[str, Any]:
        return {
            "name": entry.line.name,
            "quantity": entry.line.quantity,
            "fixed_usd_a_month": round(entry.fixed_usd, 2),
            "variable_usd_a_month": round(entry.variable_usd, 2),
            "variable_usd_per_million_events": round(self.per_million(entry.variable_usd), 6),
            "prices": {name: price(name, book) for name in entry.line.prices},
        }


def price(name: str, book: Book) -> dict[str, Any]:
    """A price with its unit, page and origin; a model's of the list of models."""
    if (model := book.prices.models.get(name)) is not None:
        source = book.prices.sources[book.prices.models_source]
        priced = {**model.model_dump(), "unit": "USD/million tokens in and out", "page": book.prices.models_page}
        return {**priced, "origin": str(source), "dated": str(source.date)}
    found = book.prices.figures[name]
    priced = {"value": found.value, "unit": found.unit, "page": found.page}
    return {**priced, "origin": book.prices.origin(name), "dated": book.prices.dated(name)}


def estimate(work: Workload, book: Book) -> Estimate:
    """Estimate a workload.

    Raises:
        ConfigurationError: The figures or the price list know nothing of a choice.
    """
    idle = {line.name: line.monthly_usd for line in bill(work.model_copy(update={"events_per_s": 0.0}), book)}
    return Estimate(work, [Entry(line, idle[line.name]) for line in bill(work, book)])
