"""When to commit: enough rows, enough bytes or enough time, whichever comes first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommitPolicy:
    """The three bounds of a batch.

    Attributes:
        rows: Rows and dead letters together.
        size_bytes: Arrow bytes in memory; Parquet is several times smaller.
        interval_s: Age of the oldest record in the batch, seconds.
    """

    rows: int
    size_bytes: int
    interval_s: float

    def due(self, *, rows: int, size_bytes: int, age_s: float) -> bool:
        """Tell whether a batch that has grown this far is to be committed; an empty one never is."""
        return rows > 0 and (rows >= self.rows or size_bytes >= self.size_bytes or age_s >= self.interval_s)
