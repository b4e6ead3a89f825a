"""Records in runs of one partition each, so that what is asked of every record is asked once a run."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, groupby
from operator import attrgetter, lt
from typing import TYPE_CHECKING

from headgate_runtime.records import Record, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SOURCE = attrgetter("topic", "partition")


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive records of a partition, at least one.

    Attributes:
        source: The partition.
        records: The records.
    """

    source: TopicPartition
    records: Sequence[Record]

    @property
    def end(self) -> int:
        """Offset after the last record."""
        return self.records[-1].offset + 1

    def since(self, expected: int) -> Sequence[Record]:
        """Return the records from an offset on, each offset once; what was fetched before a reposition is not."""
        offsets = [record.offset for record in self.records]
        if offsets[0] >= expected and all(map(lt, offsets, offsets[1:])):
            return self.records
        fresh = []
        for record in self.records:
            if record.offset >= expected:
                expected = record.offset + 1
                fresh.append(record)
        return fresh


def runs_of(records: Iterable[Record]) -> list[Run]:
    """Split records, in their order, where the partition changes."""
    return [Run(TopicPartition(*source), list(run)) for source, run in groupby(records, key=_SOURCE)]


def records_of(runs: Sequence[Run]) -> Sequence[Record]:
    """Join the records of runs."""
    return runs[0].records if len(runs) == 1 else list(chain.from_iterable(run.records for run in runs))
