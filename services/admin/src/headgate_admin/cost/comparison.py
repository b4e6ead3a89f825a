"""Headgate beside other means to the same end, on list prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headgate_admin.cost.alternatives.models import BILLS, total
from headgate_admin.cost.alternatives.shared import calls_per_s
from headgate_admin.cost.lines import model_line
from headgate_admin.cost.tables import Sheet, rate, usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_admin.cost.figures import Book
    from headgate_admin.cost.workload import Workload

RATES: Final = (10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)
_STEPS_A_DECADE: Final = 20
_DECADES: Final = (0, 6)


def without_model(name: str, work: Workload, book: Book) -> float:
    """US dollars a month without the model's tokens, which cost every one of them the same."""
    return total(name, work, book) - model_line(calls_per_s(work, book), work.model, book).monthly_usd


def by_rate(work: Workload, book: Book, rates: Sequence[float] = RATES) -> Sheet:
    """A month at each rate, tokens apart."""
    rows = []
    for events_per_s in rates:
        at = work.model_copy(update={"events_per_s": events_per_s})
        tokens = model_line(calls_per_s(at, book), at.model, book).monthly_usd
        rows.append((rate(events_per_s), usd(tokens), *(usd(without_model(name, at, book)) for name in BILLS)))
    title = f"A month without tokens, {work.model_share:.1%} of events at {work.model}"
    return Sheet("comparison", title, ("rate", "tokens, in any of them", *BILLS), rows)


def crossings(work: Workload, book: Book) -> Sheet:
    """From which rate on Headgate is the cheaper one, up to a million events a second."""
    rows = []
    for name in list(BILLS)[1:]:
        dearer = [at for at in _grid() if _difference(name, at, work, book) > 0]
        if not dearer:
            told = "at every rate"
        elif dearer[-1] == _grid()[-1]:
            told = "nowhere"
        else:
            told = f"from about {rate(_rounded(dearer[-1]))} on"
        rows.append((name, told))
    return Sheet("crossings", "Where Headgate is cheaper", ("than", "is Headgate cheaper"), rows)


def _difference(name: str, events_per_s: float, work: Workload, book: Book) -> float:
    at = work.model_copy(update={"events_per_s": events_per_s})
    return without_model("Headgate", at, book) - without_model(name, at, book)


def _grid() -> list[float]:
    first, last = _DECADES
    return [10 ** (first + step / _STEPS_A_DECADE) for step in range((last - first) * _STEPS_A_DECADE + 1)]


def _rounded(value: float) -> float:
    return float(f"{value:.1g}")
