"""Decoded rows of a topic between their consumption and their batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from headgate_writer.commit import Batch
from headgate_writer.outbox import Receipts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_runtime.records import Record


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
    starts: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    receipts: Receipts = field(default_factory=Receipts)
    records: int = 0
    size_bytes: int = 0
    _rows: list[pa.Table] = field(default_factory=list)
    _broker_ms: list[pa.Array] = field(default_factory=list)

    def add(self, records: Sequence[Record], rows: pa.Table, positions: dict[int, int]) -> None:
        """Append decoded records.

        Args:
            records: Every record of the range, dead letters too.
            rows: The rows they became.
            positions: Next offset by partition before them; moved on here.
        """
        for record in records:
            partition = record.partition
            self.starts.setdefault(partition, positions[partition])
            self.ends[partition] = positions[partition] = record.offset + 1
        self.records += len(records)
        self.size_bytes += rows.nbytes
        self._rows.append(rows)
        self._broker_ms.append(pa.array([record.timestamp_ms for record in records], pa.int64()))

    def close(self) -> tuple[Batch, pa.ChunkedArray]:
        """Return the batch, and the broker timestamps of its records in milliseconds since the epoch."""
        batch = Batch(self.starts, self.ends, pa.concat_tables(self._rows), self.receipts)
        return batch, pa.chunked_array(self._broker_ms, pa.int64())
