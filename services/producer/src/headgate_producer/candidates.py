"""What a source offers to be sent, and several sources as one in the order of time."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from headgate_schemas import Violation


@dataclass(slots=True)
class Candidate:
    """One event a source offers, or one row it could not make an event of.

    Attributes:
        time_ms: When it occurred, milliseconds since the epoch; 0 where the row says no time.
        event: The event, None where ``fault`` is set.
        origin: File or generator it comes from.
        row: Its number there, from 1.
        cells: The row as its source has it.
        columns: Names of the cells, None where they name themselves or are no whole row.
        label: What it truly is, for the side file; None where the source does not know.
        fault: Why the row is no event.
    """

    time_ms: int
    event: dict[str, Any] | None
    origin: str
    row: int
    cells: Any
    columns: tuple[str, ...] | None = None
    label: str | None = None
    fault: Violation | None = None

    @property
    def original(self) -> Any:
        """The row as a person would know it, for the rejects file: by column name where the cells match the columns."""
        columns = self.columns
        if columns is None or not isinstance(self.cells, list) or len(self.cells) != len(columns):
            return self.cells
        return dict(zip(columns, self.cells, strict=True))


def merge(sources: Iterable[Iterable[Candidate]], limit: int | None = None) -> Iterator[Candidate]:
    """Merge sources by time; equal times in the order of the sources.

    Args:
        sources: Each in the order of its times.
        limit: Candidates taken in all, None for every one.
    """
    return islice(heapq.merge(*sources, key=lambda candidate: candidate.time_ms), limit)
