"""How far a distribution has moved: the population stability index of a histogram against those of windows before it.

Below 0.1 it is taken for the same distribution, above 0.25 for another one (a convention of credit scoring).
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_processor.definition import Drift

BUCKET_MS: Final = 3_600_000
_PRIOR: Final = 0.5

History = list[list[Any]]
"""Start of an hour, and the events by range of the windows that began in it; ascending."""


def stability_index(now: Sequence[int], before: Sequence[int]) -> float:
    """The population stability index of two histograms with the same ranges; half an event is added to each range."""
    shares = [[(count + _PRIOR) / (sum(counts) + _PRIOR * len(counts)) for count in counts] for counts in (now, before)]
    index: float = sum((new - old) * log(new / old) for new, old in zip(*shares, strict=True))
    return index


def moved(spec: Drift, history: History, start: int, counts: Sequence[int]) -> float | None:
    """The index of a window that begins at ``start``, against the hours before; None where there are too few events."""
    since = start - spec.against
    before = [sum(column) for column in zip(*(old for hour, old in history if hour >= since - BUCKET_MS), strict=True)]
    if sum(counts) < spec.at_least or sum(before) < spec.at_least:
        return None
    return stability_index(counts, before)


def remember(spec: Drift, history: History, start: int, counts: Sequence[int]) -> None:
    """Add a window to the hours, and let go of those that are too old for the windows after it."""
    hour = start - start % BUCKET_MS
    if history and history[-1][0] == hour:
        history[-1][1] = [old + new for old, new in zip(history[-1][1], counts, strict=True)]
    else:
        history.append([hour, list(counts)])
    history[:] = [each for each in history if each[0] >= start - spec.against - BUCKET_MS]


def forgotten_at(spec: Drift, history: History) -> int:
    """From when on nothing of the hours counts any more."""
    return int(history[-1][0]) + spec.against + 2 * BUCKET_MS
