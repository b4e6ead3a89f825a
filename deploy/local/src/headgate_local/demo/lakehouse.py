"""What the demo reads of the Iceberg table: rows, and the instant each became visible."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.manifest import ManifestEntryStatus
from pyiceberg.table.snapshots import Operation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyiceberg.table import Table

Row = dict[str, Any]


def open_table(catalog: Mapping[str, str], name: str) -> Table | None:
    """The table as it stands now, or None before its first commit."""
    properties = dict(catalog)
    try:
        return load_catalog(properties.pop("name", "local"), **properties).load_table(name)
    except NoSuchTableError:
        return None


def count_rows(table: Table | None) -> int:
    """Rows of the current snapshot, from metadata alone."""
    return table.scan().count() if table is not None else 0


def to_millis(value: Any) -> Any:
    """The value with every timestamp in it as milliseconds since the epoch, as the contracts count."""
    if isinstance(value, dt.datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, dict):
        return {name: to_millis(part) for name, part in value.items()}
    return value


def rows(table: Table) -> Iterator[Row]:
    """Every row of the current snapshot as nested dictionaries, timestamps in milliseconds."""
    for batch in table.scan().to_arrow_batch_reader():
        yield from (to_millis(row) for row in batch.to_pylist())


def visible_at(table: Table) -> dict[str, int]:
    """Path of each file that was appended -> commit time of its snapshot, in milliseconds; of expired snapshots none.

    Rows that were compacted since are in other files too, which made nothing visible.
    """
    return {
        entry.data_file.file_path: snapshot.timestamp_ms
        for snapshot in table.metadata.snapshots
        if snapshot.summary is not None and snapshot.summary.operation is Operation.APPEND
        for manifest in snapshot.manifests(table.io)
        if manifest.added_snapshot_id == snapshot.snapshot_id
        for entry in manifest.fetch_manifest_entry(table.io)
        if entry.status is ManifestEntryStatus.ADDED
    }


def freshness_ms(table: Table, produced_at: str, revision: str) -> list[float]:
    """Commit time less produce time of every first row of an event, in milliseconds, ascending.

    Rows of an expired snapshot are left out: the time of its commit has gone with it. Later rows waited for a person.

    Args:
        table: The table.
        produced_at: Dotted path of the column that holds the produce time.
        revision: Dotted path of the column that is above 0 in later rows.
    """
    ages: list[float] = []
    for path, committed_ms in visible_at(table).items():
        with table.io.new_input(path).open() as file:
            rows = pq.ParquetFile(file).read(columns=[produced_at, revision])
        first = pc.filter(_column(rows, produced_at), pc.equal(_column(rows, revision), 0))
        millis = pc.cast(pc.cast(first, pa.timestamp("ms", tz="UTC"), safe=False), pa.int64())
        ages.extend(pc.subtract(committed_ms, millis).to_pylist())
    return sorted(ages)


def _column(rows: pa.Table, path: str) -> pa.Array:
    """The values at a dotted path."""
    top, *inner = path.split(".")
    column = rows.column(top).combine_chunks()
    return pc.struct_field(column, inner) if inner else column
