"""Runs the verification of a table: gathers what it rests on, and shows what came of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from headgate_runtime.errors import RejectedError
from headgate_runtime.records import TopicPartition
from headgate_schemas import Contracts

from headgate_admin.output import table_of
from headgate_admin.tables.chain import check_chain
from headgate_admin.tables.lakehouse import load_table
from headgate_admin.tables.log import StoredLog
from headgate_admin.tables.positions import positions_at
from headgate_admin.tables.reachability import check_files
from headgate_admin.tables.rows import row_index
from headgate_admin.tables.verification import Verification, partition_reports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_schemas import TopicContract
    from pyiceberg.table import Table as PyIcebergTable
    from rich.table import Table

    from headgate_admin.config import AdminSettings
    from headgate_admin.output import Output
    from headgate_admin.tables.positions import StoredPositions
    from headgate_admin.tables.verification import PartitionReport

_COLUMNS = ("partition", "rows", "first", "last", "position", "twice", "beyond", "no row")
_LOG_COLUMNS = ("left the log", "control", "dead letters", "MISSING")


def verify_table(
    settings: AdminSettings, name: str, topics: Sequence[str], output: Output, *, log: bool
) -> Verification:
    """Hold a table against what it rests on.

    Args:
        settings: Settings of the command line.
        name: Name with namespace.
        topics: Only these topics' rows; all where it is empty.
        output: Where progress is shown.
        log: Read the topics and their dead letters too.

    Raises:
        RejectedError: There is no such table, or a topic is not the one that was stored.
        UnavailableError: Catalog, store or broker does not answer.
    """
    table = load_table(settings.catalog, name)
    chain = check_chain(table.metadata)
    stored = {} if chain.problems else positions_at(table.metadata, table.current_snapshot()) or {}
    positions = {topic: each for topic, each in stored.items() if not topics or topic in topics}
    contracts = [
        topic
        for topic in Contracts.load(settings.contracts_dir).topics.values()
        if topic.table and topic.table.name == name
    ]
    versions = next((topic.table.versions for topic in contracts if topic.table and topic.table.versions), None)
    files = check_files(table, now_ms=time.time_ns() // 1_000_000)
    with row_index() as index:
        index.take_ends(_ends(positions))
        with output.progress("reading files", _file_count(table)) as advance:
            index.load(table, topics, versions, frozenset(files.missing), advance)
        begins = None
        if log:
            reader = StoredLog(settings.kafka, positions)
            begins = reader.first_offsets()
            reader.read(index, begins, _dead_letters(contracts, positions))
        return Verification(
            table=name,
            snapshot_id=table.metadata.current_snapshot_id,
            partitions=partition_reports(index, begins),
            chain=chain,
            files=files,
            repeated_versions=index.repeated_versions() if versions else None,
        )


def table_of_partitions(found: Verification) -> Table:
    """The partitions, for people."""
    with_log = any(each.log is not None for each in found.partitions)
    return table_of(_COLUMNS + (_LOG_COLUMNS if with_log else ()), map(_row, found.partitions))


def describe(found: Verification) -> str:
    """The rest in one line."""
    files, chain = found.files, found.chain
    rows = sum(each.rows for each in found.partitions)
    age = "" if files.oldest_orphan_s is None else f", the oldest {files.oldest_orphan_s / 3600:.1f} h old"
    return (
        f"{rows:,} rows in {files.head:,} files; {chain.snapshots} snapshots"
        f"{'' if chain.whole else ', older ones have expired'}; "
        f"{files.orphans:,} files ({files.orphan_bytes / 1e6:.1f} MB{age}) that nothing refers to"
    )


def _row(report: PartitionReport) -> list[object]:
    cells: list[object] = [
        f"{report.topic}/{report.partition}",
        report.rows,
        report.first,
        report.last,
        report.position,
        report.duplicates,
        report.beyond,
        report.without_row,
    ]
    log = report.log
    return cells if log is None else [*cells, log.left, log.control, log.dead_lettered, log.missing]


def _ends(positions: StoredPositions) -> list[tuple[TopicPartition, int]]:
    return [
        (TopicPartition(topic, number), end) for topic, each in positions.items() for number, end in each.ends.items()
    ]


def _file_count(table: PyIcebergTable) -> int:
    snapshot = table.current_snapshot()
    summary = snapshot.summary if snapshot else None
    return int(summary.additional_properties.get("total-data-files", 0)) if summary else 0


def _dead_letters(contracts: Sequence[TopicContract], positions: StoredPositions) -> list[str]:
    named = {topic.topic: topic.dead_letters for topic in contracts}
    if unknown := sorted(set(positions) - set(named)):
        raise RejectedError(
            f"No contract stores {', '.join(unknown)} in this table: name the contracts with --contracts."
        )
    return [letters for topic in positions if (letters := named[topic]) is not None]
