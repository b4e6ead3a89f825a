"""Decoded rows of a table between their consumption and their batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
from headgate_runtime.records import column_of

from headgate_writer.commit import Batch
from headgate_writer.outbox import Receipts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_runtime.records import TopicPartition

    from headgate_writer.runs import Run


@dataclass(slots=True)
class Buffer:
    """A batch as it grows.

    Attributes:
        opened_at: Clock when the first record came, seconds.
        starts: Next offset by partition before the first record.
        ends: Next offset by partition after the last.
        receipts: Dead letters among these records.
        records: Records so far, rows and dead letters.
        size_bytes: Arrow bytes of the rows.
    """

    opened_at: float
    starts: dict[TopicPartition, int] = field(default_factory=dict)
    ends: dict[TopicPartition, int] = field(default_factory=dict)
    receipts: Receipts = field(default_factory=Receipts)
    records: int = 0
    size_bytes: int = 0
    _rows: list[pa.Table] = field(default_factory=list)
    _broker_ms: list[pa.Array] = field(default_factory=list)

    def add(self, runs: Sequence[Run], rows: pa.Table, positions: dict[TopicPartition, int]) -> None:
        """Append decoded records.

        Args:
            runs: Every record of the range, dead letters too.
            rows: The rows they became.
            positions: Next offset by partition before them; moved on here.
        """
        for run in runs:
            self.starts.setdefault(run.source, positions[run.source])
            self.ends[run.source] = positions[run.source] = run.end
            self.records += len(run.records)
            self._broker_ms.append(pa.array(column_of(run.records, "timestamp_ms"), pa.int64()))
        self.size_bytes += rows.nbytes
        self._rows.append(rows)

    def close(self) -> tuple[Batch, pa.ChunkedArray]:
        """Return the batch, its rows as wide as the widest among them, and the broker timestamps of its records in milliseconds since the epoch."""
        batch = Batch(self.starts, self.ends, pa.concat_tables(self._rows, promote_options="permissive"), self.receipts)
        return batch, pa.chunked_array(self._broker_ms, pa.int64())
