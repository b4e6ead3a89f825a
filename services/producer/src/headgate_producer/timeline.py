"""Event times: parsed out of cells, spread over their resolution, shifted and compressed. Pure; `now` is an argument."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_PARSED = 65536  # distinct texts remembered: the days, or the seconds of most of a day


def millis(moment: datetime) -> int:
    """Milliseconds since the epoch of an aware moment, rounded down; exact, unlike ``timestamp() * 1000``."""
    return (moment - _EPOCH) // _MILLISECOND


def parse_iso(text: str) -> int:
    """Milliseconds since the epoch of an ISO 8601 text.

    Raises:
        ValueError: The text is no ISO 8601 time, or names no zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("names no time zone; end it with Z or an offset such as +02:00")
    return millis(moment)


def time_parser(form: str) -> Callable[[Any], int]:
    """How cells become milliseconds since the epoch.

    Args:
        form: ``epoch_ms``, ``epoch_s``, ``iso8601``, or a ``strptime`` format; a format without ``%z`` is read as UTC.
    """
    if form == "epoch_ms":
        return int
    if form == "epoch_s":
        return lambda cell: round(float(cell) * 1000)
    if form == "iso8601":
        return lru_cache(_PARSED)(parse_iso)

    def parse(cell: Any) -> int:
        moment = datetime.strptime(str(cell), form)  # noqa: DTZ007 - the zone is settled in the next line
        return millis(moment if moment.tzinfo else moment.replace(tzinfo=UTC))

    return lru_cache(_PARSED)(parse)


def spread(times: Sequence[int], resolution_ms: int) -> list[int]:
    """Spread equal times evenly over the resolution they were recorded with, so that a day's rows do not all fall at midnight.

    Args:
        times: Milliseconds, ascending.
        resolution_ms: What one recorded time stands for, such as a day; never beyond the next recorded time.
    """
    runs = [(time, len(list(run))) for time, run in groupby(times)]
    following = [time for time, _ in runs[1:]] + [runs[-1][0] + resolution_ms] if runs else []
    return [
        time + position * min(resolution_ms, after - time) // count
        for (time, count), after in zip(runs, following, strict=True)
        for position in range(count)
    ]


def fit(times: Sequence[int], end_ms: int, span_ms: int | None = None) -> list[int]:
    """Shift times so that the last one is `end_ms`, and scale them so that the first is `span_ms` before it.

    Order is kept; times closer than the scale's step may become equal.

    Args:
        times: Milliseconds, in any order.
        end_ms: Where the latest goes.
        span_ms: Distance of the earliest and the latest; None keeps the recorded one.
    """
    if not times:
        return []
    last = max(times)
    extent = last - min(times)
    if span_ms is None or extent == 0:
        return [end_ms - (last - time) for time in times]
    return [end_ms - (last - time) * span_ms // extent for time in times]
