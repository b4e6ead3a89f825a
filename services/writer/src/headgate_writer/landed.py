"""What there is to tell of a batch that is in its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from headgate_runtime.records import TopicPartition


@dataclass(frozen=True, slots=True)
class Landed:
    """A commit to a table.

    Attributes:
        table: Name with namespace.
        snapshot_id: The head it was found in. Where the answer was lost, that may be a later one than its own.
        starts: First offset by partition.
        ends: Next offset by partition, the same partitions.
        schema: Columns of the rows.
        rows: How many; records that were dead-lettered are none.
        files: Data files.
        size_bytes: Their size.
        began_ms: When the oldest record was taken, milliseconds since the epoch.
        landed_ms: When the commit was known to have landed.
        hashed: Paths of columns that hold hashes of what came.
    """

    table: str
    snapshot_id: int
    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    schema: pa.Schema
    rows: int
    files: int
    size_bytes: int
    began_ms: int
    landed_ms: int
    hashed: frozenset[str] = frozenset()


OnLanded = Callable[[Landed], None]
