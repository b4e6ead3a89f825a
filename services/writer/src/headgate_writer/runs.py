"""Records in runs of one partition each, so that what is asked of every record is asked once a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from itertools import chain, groupby, pairwise, starmap
from operator import add, lt
from typing import TYPE_CHECKING

from headgate_runtime.records import LazyRecords, Record, TopicPartition, column_of

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive records of a partition, at least one.

    Attributes:
        source: The partition.
        records: The records.
        offsets: Their offsets.
    """

    source: TopicPartition
    records: Sequence[Record]
    offsets: Sequence[int] = field(init=False)

    def __post_init__(self) -> None:
        """Read the offsets."""
        object.__setattr__(self, "offsets", column_of(self.records, "offset"))

    @property
    def end(self) -> int:
        """Offset after the last record."""
        return self.offsets[-1] + 1

    def since(self, expected: int) -> Sequence[Record]:
        """Return the records from an offset on, each offset once; what was fetched before a reposition is not."""
        if self.offsets[0] >= expected and all(starmap(lt, pairwise(self.offsets))):
            return self.records
        fresh = []
        for record in self.records:
            if record.offset >= expected:
                expected = record.offset + 1
                fresh.append(record)
        return fresh


def runs_of(records: Sequence[Record]) -> list[Run]:
    """Split records, in their order, where the partition changes."""
    sources = zip(column_of(records, "topic"), column_of(records, "partition"), strict=True)
    runs, begin = [], 0
    for source, own in groupby(sources):
        end = begin + sum(1 for _ in own)
        runs.append(Run(TopicPartition(*source), records[begin:end]))
        begin = end
    return runs


def records_of(runs: Sequence[Run]) -> Sequence[Record]:
    """Join the records of runs."""
    own = [run.records for run in runs]
    lazy = [records for records in own if isinstance(records, LazyRecords)]
    return reduce(add, lazy) if len(lazy) == len(own) else list(chain.from_iterable(own))
