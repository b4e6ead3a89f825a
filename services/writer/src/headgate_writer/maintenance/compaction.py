"""Many small files read, sorted and written as one, a partition at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask, TableProperties

from headgate_writer.parquet import DataFileWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile, ManifestEntry
    from pyiceberg.table.metadata import TableMetadata

    from headgate_writer.maintenance.reachability import LiveFile, Survey


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was compacted: its entry in the manifest it was read from."""

    data_file: DataFile
    sequence_number: int


@dataclass(frozen=True, slots=True)
class CompactedFile:
    """A file that takes the place of others, and the data sequence number it takes over from the latest of them."""

    data_file: DataFile
    sequence_number: int


@dataclass(frozen=True, slots=True)
class Compacted:
    """Files that may take the place of others as long as all of those are live; until then nothing refers to them.

    Attributes:
        sources: What was read.
        files: What was written.
        layout: As in :class:`headgate_writer.table.Head`, when it was written.
        without: Locations of manifests known to hold none of the sources.
        row_bytes: Arrow bytes of a row, on the average of the group with the widest ones.
    """

    sources: Sequence[Source]
    files: Sequence[CompactedFile]
    layout: tuple[int, int]
    without: frozenset[str]
    row_bytes: float

    @property
    def size_bytes(self) -> int:
        """Size of the sources together."""
        return sum(source.data_file.file_size_in_bytes for source in self.sources)


@dataclass(frozen=True, slots=True)
class _Place:
    metadata: TableMetadata
    io: FileIO


def compact(
    metadata: TableMetadata,
    io: FileIO,
    survey: Survey,
    groups: Sequence[Sequence[LiveFile]],
    event_time: tuple[str, ...] | None,
) -> Compacted:
    """Write each group of files as one; the memory taken is that of the largest group.

    Args:
        metadata: The table's metadata.
        io: Its store.
        survey: Where the files are.
        groups: Files of one partition value each, of the table's present partition spec.
        event_time: Path of the column to sort by where the table has no sort order; None leaves the order alone.

    Raises:
        OSError: The store does not answer.
        RuntimeError: What was written does not have the rows that were read; it must not be committed.
    """
    wanted = {file.path for group in groups for file in group}
    holders = [manifest for manifest, files in survey.head.items() if any(file.path in wanted for file in files)]
    entries: dict[str, ManifestEntry] = {
        entry.data_file.file_path: entry
        for manifest in holders
        for entry in manifest.fetch_manifest_entry(io, discard_deleted=True)
        if entry.data_file.file_path in wanted
    }
    sources: list[Source] = []
    files: list[CompactedFile] = []
    row_bytes = 0.0
    for group in groups:
        own = [Source(entries[file.path].data_file, file.sequence_number) for file in group]
        rows = read_rows(metadata, io, own)
        latest = max(source.sequence_number for source in own)
        written = [CompactedFile(file, latest) for file in write_one(metadata, rows, io, event_time)]
        _require_same_rows(own, rows, written)
        row_bytes = max(row_bytes, rows.nbytes / max(1, rows.num_rows))
        sources += own
        files += written
    without = frozenset(manifest.manifest_path for manifest in survey.head if manifest not in holders)
    return Compacted(sources, files, (metadata.current_schema_id, metadata.default_spec_id), without, row_bytes)


def read_rows(metadata: TableMetadata, io: FileIO, sources: Sequence[Source]) -> pa.Table:
    """Read files in the table's present schema, one after the other: commits share the library's pool of threads."""
    scan = ArrowScan(metadata, io, metadata.schema(), AlwaysTrue())
    tables = [scan.to_table([FileScanTask(source.data_file)]) for source in sources]
    return pa.concat_tables(tables, promote_options="permissive")


def write_one(
    metadata: TableMetadata, rows: pa.Table, io: FileIO, event_time: tuple[str, ...] | None
) -> Sequence[DataFile]:
    """Write rows of one partition value as one file: planning has chosen its size, which is known in Parquet only.

    They are in the table's sort order, or by event time where it has none.
    """
    properties = {**metadata.properties, TableProperties.WRITE_TARGET_FILE_SIZE_BYTES: str(2**62)}
    order = metadata.sort_order_by_id(metadata.default_sort_order_id)
    if event_time and (order is None or order.is_unsorted):
        keys = pa.table({"event time": _column(rows, event_time)})
        rows = rows.take(pc.sort_indices(keys, sort_keys=[("event time", "ascending", "at_start")]))
    place = _Place(metadata.model_copy(update={"properties": properties}), io)
    return DataFileWriter().write(place, rows, ordered=True)


def _column(rows: pa.Table, path: Sequence[str]) -> pa.ChunkedArray:
    column: Any = rows.column(path[0])
    for name in path[1:]:
        column = pc.struct_field(column, name)
    return column


def _require_same_rows(sources: Sequence[Source], rows: pa.Table, written: Sequence[CompactedFile]) -> None:
    counts = (
        sum(source.data_file.record_count for source in sources),
        rows.num_rows,
        sum(file.data_file.record_count for file in written),
    )
    if len(set(counts)) > 1:
        raise RuntimeError(f"{counts[0]} rows in the manifests, {counts[1]} read, {counts[2]} written: not committed")
