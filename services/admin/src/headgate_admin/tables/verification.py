"""Holds a table against its own offset map, its snapshots, its files and, where it is asked to, the log."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from headgate_runtime.records import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headgate_admin.tables.chain import Chain
    from headgate_admin.tables.reachability import Files
    from headgate_admin.tables.rows import RowIndex


@dataclass(frozen=True, slots=True)
class LogComparison:
    """What offsets below the position are that have no row; together they are all of them.

    Attributes:
        left: The log no longer has them.
        control: Marks of transactions, and records of aborted ones.
        dead_lettered: Records with a dead letter.
        missing: Committed records with neither row nor dead letter.
        first_missing: The first of these.
    """

    left: int
    control: int
    dead_lettered: int
    missing: int
    first_missing: int | None


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """A partition of a topic in the table.

    Attributes:
        topic: Topic.
        partition: Partition.
        rows: Rows.
        first: Lowest offset that has a row; None where there is none.
        last: Highest one.
        position: Next offset to store, as the map has it; None where it has none.
        duplicates: Rows beyond the first of an offset.
        first_duplicate: Lowest offset that has several rows.
        beyond: Rows at or above the position.
        without_row: Offsets below the position that have no row.
        log: What these are; None where the log was not read.
    """

    topic: str
    partition: int
    rows: int
    first: int | None
    last: int | None
    position: int | None
    duplicates: int
    first_duplicate: int | None
    beyond: int
    without_row: int
    log: LogComparison | None = None

    def findings(self) -> Iterator[str]:
        """What is wrong with it."""
        name = f"{self.topic}/{self.partition}"
        if self.duplicates:
            yield f"{name}: {self.duplicates} rows are there twice, the first of offset {self.first_duplicate}"
        if self.beyond:
            position = "no position" if self.position is None else f"the position {self.position}"
            yield f"{name}: {self.beyond} rows are not below {position}: the writer would store them again"
        if self.log is not None and self.log.missing:
            yield (
                f"{name}: {self.log.missing} committed records have neither row nor dead letter, the first at offset "
                f"{self.log.first_missing}"
            )


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of it.

    Attributes:
        table: Name with namespace.
        snapshot_id: The head that was looked at, None where the table has none.
        partitions: By topic and number.
        chain: Its snapshots.
        files: Its files.
        repeated_versions: Kinds of rows, by the key and version of the contract, that have several; the positions of
            one's; None where the contract names none.
    """

    table: str
    snapshot_id: int | None
    partitions: list[PartitionReport]
    chain: Chain
    files: Files
    repeated_versions: tuple[int, str | None] | None = None

    def findings(self) -> Iterator[str]:
        """What is wrong."""
        for partition in self.partitions:
            yield from partition.findings()
        yield from self.chain.problems
        yield from (f"file {path} is not there" for path in self.files.missing)
        kinds, example = self.repeated_versions or (0, None)
        if kinds:
            yield (
                f"{kinds} times several records have the same key and version, for example {example}: whoever wrote the "
                "topic sent them more than once"
            )

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        versions = self.repeated_versions
        return {
            "table": self.table,
            "snapshot_id": self.snapshot_id,
            "partitions": [asdict(partition) for partition in self.partitions],
            "chain": self.chain.document(),
            "files": self.files.document(),
            "repeated_versions": None if versions is None else {"kinds": versions[0], "example": versions[1]},
            "findings": list(self.findings()),
        }


def partition_reports(index: RowIndex, log_begins: Mapping[TopicPartition, int] | None = None) -> list[PartitionReport]:
    """What the index says of each partition.

    Args:
        index: The rows; where the log was read, its records and letters too.
        log_begins: First offset that is still in the log, by partition; None where the log was not read.
    """
    plain = [PartitionReport(*row) for row in index.partitions()]
    if log_begins is None:
        return plain
    unstored = index.unstored()
    bounds = {
        TopicPartition(each.topic, each.partition): min(
            each.position or 0, log_begins.get(TopicPartition(each.topic, each.partition), 0)
        )
        for each in plain
    }
    below = index.rows_below(bounds.items())
    return [
        _with_log(each, bounds[place] - below[place], unstored.get(place, (0, 0, None)))
        for each in plain
        for place in [TopicPartition(each.topic, each.partition)]
    ]


def _with_log(report: PartitionReport, left: int, unstored: tuple[int, int, int | None]) -> PartitionReport:
    dead, missing, first = unstored
    control = report.without_row - left - dead - missing
    return replace(report, log=LogComparison(left, control, dead, missing, first))
