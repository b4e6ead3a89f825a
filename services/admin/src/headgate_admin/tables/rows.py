"""The positions of a table's rows, in a scratch database on disk: as many rows as there are, in bounded memory."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from headgate_runtime.errors import RejectedError, UnavailableError
from pyiceberg.io.pyarrow import ArrowScan

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from headgate_runtime.records import TopicPartition
    from headgate_schemas import RowVersions
    from pyiceberg.table import FileScanTask, Table

    Place = tuple[str, int, int]

MEMORY: Final = "512MB"
POSITION: Final = ("_topic", "_kafka_partition", "_offset")
_ROWS: Final = ["topic", "part", "place", "key", "version"]
_CHUNK: Final = 200_000
_PLACES: Final = pa.schema([("topic", pa.string()), ("part", pa.int32()), ("place", pa.int64())])
_TABLES: Final = """
CREATE TABLE rows (topic VARCHAR, part INTEGER, place BIGINT, key VARCHAR, version BIGINT);
CREATE TABLE ends (topic VARCHAR, part INTEGER, stored BIGINT);
CREATE TABLE log (topic VARCHAR, part INTEGER, place BIGINT);
CREATE TABLE letters (topic VARCHAR, part INTEGER, place BIGINT)
"""
# Of each partition that has rows or a position: rows, first and last offset, what is twice, what is not below the position.
_PARTITIONS: Final = """
WITH counted AS (
  SELECT topic, part, place, count(*) AS times FROM rows GROUP BY ALL
), summed AS (
  SELECT topic, part, stored, sum(times) AS held, min(place) AS first, max(place) AS last,
         sum(times - 1) AS doubled, min(place) FILTER (times > 1) AS first_doubled,
         coalesce(sum(times) FILTER (place >= coalesce(stored, 0)), 0) AS beyond,
         count(place) FILTER (place < stored) AS below
  FROM counted FULL JOIN ends USING (topic, part) GROUP BY topic, part, stored
)
SELECT topic, part, coalesce(held, 0), first, last, stored, coalesce(doubled, 0), first_doubled, beyond,
       coalesce(stored, 0) - below
FROM summed ORDER BY topic, part
"""
# Of each partition, records of the log that are no row: those with a dead letter, those without, and the first of these.
_UNSTORED: Final = """
SELECT topic, part, count(*) FILTER (letter), count(*) FILTER (NOT letter), min(place) FILTER (NOT letter)
FROM (
  SELECT topic, part, place, (topic, part, place) IN (SELECT (topic, part, place) FROM letters) AS letter
  FROM log ANTI JOIN rows USING (topic, part, place)
) GROUP BY topic, part
"""
# Grouped by hashes first: as many long keys as there are rows would not fit in memory, nor sort in little of it.
_VERSIONS: Final = """
WITH suspects AS (
  SELECT hash(key) AS hashed, version FROM rows GROUP BY ALL HAVING count(*) > 1
), places AS (
  SELECT DISTINCT key, version, topic, part, place
  FROM rows SEMI JOIN suspects ON hash(rows.key) = suspects.hashed AND rows.version = suspects.version
)
SELECT count(*), min(example)
FROM (
  SELECT string_agg(topic || '/' || part || '/' || place, ', ' ORDER BY topic, part, place) AS example
  FROM places GROUP BY key, version HAVING count(*) > 1
)
"""


class RowIndex:
    """Where each row came from, and what is asked about that."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def load(
        self,
        table: Table,
        topics: Sequence[str],
        versions: RowVersions | None,
        missing: Collection[str],
        advance: Callable[[int], None],
    ) -> None:
        """Take in the rows of the head, a file at a time.

        Args:
            table: The table.
            topics: Only these topics' rows; all where it is empty.
            versions: What makes a row one of its kind, where the contract says so.
            missing: Files that are not there.
            advance: Told how many files are done.

        Raises:
            RejectedError: The table has not the columns.
            UnavailableError: The store does not answer.
        """
        wanted = [*POSITION, *((versions.key, versions.by) if versions else ())]
        scan = table.scan(selected_fields=tuple(wanted))
        try:
            reader = ArrowScan(table.metadata, table.io, scan.projection(), scan.row_filter)
        except ValueError as error:
            raise RejectedError(f"not a table of the writer: {error}") from error
        for done, task in enumerate(scan.plan_files(), 1):
            if task.file.file_path not in missing:
                self._load_file(reader, task, wanted, topics)
            advance(done)

    def _load_file(self, reader: ArrowScan, task: FileScanTask, wanted: Sequence[str], topics: Sequence[str]) -> None:
        try:
            for batch in reader.to_record_batches([task]):
                columns = [_column(batch, path) for path in wanted]
                columns += [pa.nulls(len(batch))] * (len(_ROWS) - len(columns))
                rows = pa.table(columns, _ROWS)
                if topics:
                    rows = rows.filter(pc.is_in(rows["topic"], pa.array(topics, pa.string())))
                self._insert("rows", rows)
        except OSError as error:
            raise UnavailableError(f"the store does not give {task.file.file_path}: {error!r}") from error

    def take_ends(self, ends: Iterable[tuple[TopicPartition, int]]) -> None:
        """Take in the next offset to store of each partition."""
        places = [(*partition, end) for partition, end in ends]
        self._insert("ends", _places(places))

    @contextmanager
    def taking(self, name: str) -> Iterator[Callable[[str, int, int], None]]:
        """Take in positions of ``log`` or ``letters``, one by one, kept in chunks."""
        places: list[Place] = []

        def flush() -> None:
            self._insert(name, _places(places))
            places.clear()

        def take(topic: str, number: int, offset: int) -> None:
            places.append((topic, number, offset))
            if len(places) >= _CHUNK:
                flush()

        yield take
        flush()

    def partitions(self) -> list[tuple[Any, ...]]:
        """Of each partition: topic, number, rows, first, last, position, doubled, first doubled, beyond, without a row."""
        return self._connection.execute(_PARTITIONS).fetchall()

    def unstored(self) -> dict[tuple[str, int], tuple[int, int, int | None]]:
        """Of each partition with log records that are no row: dead-lettered, missing, first missing."""
        return {(row[0], row[1]): row[2:] for row in self._connection.execute(_UNSTORED).fetchall()}

    def rows_below(self, firsts: Iterable[tuple[TopicPartition, int]]) -> dict[tuple[str, int], int]:
        """Of each partition, how many different offsets below one have a row."""
        query = "SELECT count(DISTINCT place) FROM rows WHERE topic = ? AND part = ? AND place < ?"
        found: dict[tuple[str, int], int] = {}
        for partition, first in firsts:
            counted = self._connection.execute(query, [*partition, first]).fetchone()
            found[partition.topic, partition.partition] = counted[0] if counted else 0
        return found

    def repeated_versions(self) -> tuple[int, str | None]:
        """How many keys and versions have rows from several positions, and the positions of one of them."""
        return self._connection.execute(_VERSIONS).fetchone() or (0, None)

    def _insert(self, name: str, rows: pa.Table) -> None:
        if rows.num_rows:
            self._connection.register("incoming", rows)
            self._connection.execute(f"INSERT INTO {name} SELECT * FROM incoming")  # noqa: S608 - our own names
            self._connection.unregister("incoming")


@contextmanager
def row_index() -> Iterator[RowIndex]:
    """A scratch database that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="headgate-verify-") as folder:
        settings: dict[str, Any] = {
            "memory_limit": MEMORY,
            "temp_directory": str(Path(folder) / "spill"),
            "preserve_insertion_order": False,
        }
        with duckdb.connect(Path(folder) / "rows.db", config=settings) as connection:
            connection.execute(_TABLES)
            yield RowIndex(connection)


def _places(places: Sequence[Place]) -> pa.Table:
    columns = list(zip(*places, strict=True)) or [(), (), ()]
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, _PLACES, strict=True)], _PLACES)


def _column(batch: pa.RecordBatch, path: str) -> pa.Array:
    """The values at a dotted path."""
    top, *inner = path.split(".")
    column = batch.column(top)
    return pc.struct_field(column, inner) if inner else column
