"""Rows as data files of a table: split by partition, ordered where it costs little, written, described."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from headgate_writer.parquet.columns import conform
from headgate_writer.parquet.encoding import repeating
from headgate_writer.parquet.files import Part, write_part
from headgate_writer.parquet.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table.metadata import TableMetadata

    from headgate_writer.parquet.ordering import Ordering
    from headgate_writer.parquet.partitioning import Groups

# Files of one batch that are open at the same time: the store's answers are waited for together, memory stays bounded.
_OPEN_FILES = 2


class Place(Protocol):
    """What is asked of a table that files are written for."""

    @property
    def metadata(self) -> TableMetadata:
        """Its metadata."""

    @property
    def io(self) -> FileIO:
        """Its store."""


class DataFileWriter:
    """Writes Arrow rows as data files of an Iceberg table; commits nothing.

    Schema, partition spec, sort order and ``write.*`` properties are those of the table's metadata.
    """

    def __init__(self) -> None:
        self._layout: Layout | None = None

    def write(self, table: Place, rows: pa.Table, *, ordered: bool = False) -> list[DataFile]:
        """Write rows; of one partition or of many, no file holds rows of two.

        Args:
            table: The table, as it was last loaded; pyiceberg's own will do.
            rows: Any subset of its columns, by name; the others are null.
            ordered: Bring rows into the table's sort order, if it has one. Otherwise that is done only where rows
                are moved anyway, because they belong to several partitions.

        Returns:
            Their entries for a manifest, no file that holds no row.

        Raises:
            OSError: The store does not take them; what was written of them is removed as far as the store lets it.
            ConfigurationError: Rows and table do not fit together, or a table property is wrong.
        """
        if not rows.num_rows:
            return []
        if self._layout is None or not self._layout.fits(table.metadata):
            self._layout = Layout.of(table.metadata)
        begun: list[str] = []
        try:
            return _write(self._layout, table.io, conform(rows, self._layout.schema), begun, ordered=ordered)
        except Exception:
            _remove(table.io, begun)
            raise


def _write(layout: Layout, io: FileIO, rows: pa.Table, begun: list[str], *, ordered: bool) -> list[DataFile]:
    parts = _parts(layout, rows, ordered=ordered)
    if len(parts) == 1:
        return write_part(parts[0], layout, io, begun)
    with ThreadPoolExecutor(_OPEN_FILES, thread_name_prefix="data-file") as pool:
        futures = [pool.submit(write_part, part, layout, io, begun) for part in parts]
        try:
            return [file for future in futures for file in future.result()]
        finally:
            pool.shutdown(cancel_futures=True)


def _parts(layout: Layout, rows: pa.Table, *, ordered: bool) -> list[Part]:
    batch, dictionaries = uuid.uuid4(), repeating(rows)
    groups = layout.partitioning.groups(rows) if layout.partitioning else None
    rows, order_id = _arranged(rows, groups, layout.ordering, ordered=ordered)
    if groups is None:
        return [Part(rows, None, f"00000-{batch}", order_id, dictionaries)]
    return [
        Part(of_key, key, f"{number:05d}-{batch}", order_id, dictionaries)
        for number, (key, of_key) in enumerate(groups.slices(rows))
    ]


def _arranged(
    rows: pa.Table, groups: Groups | None, ordering: Ordering | None, *, ordered: bool
) -> tuple[pa.Table, int | None]:
    """Bring the rows of each partition together, and in order; returns the id of the order they are in then."""
    scattered = groups is not None and len(groups.keys) > 1
    if ordering is None:
        return rows.take(groups.indices()) if groups and scattered else rows, None
    if scattered or ordered:
        indices = ordering.indices(rows)
        return rows.take(groups.indices(indices) if groups else indices), ordering.order_id
    return rows, ordering.order_id if ordering.holds(rows) else None


def _remove(io: FileIO, locations: Sequence[str]) -> None:
    """Delete files that no commit was ever offered; stops where the store is away."""
    for location in locations:
        try:
            io.delete(location)
        except FileNotFoundError:
            continue
        except OSError:
            return
