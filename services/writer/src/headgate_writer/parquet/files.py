"""One partition's rows as Parquet files, each with the entry a manifest holds of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import data_file_statistics_from_parquet_metadata
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.typedef import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from pyarrow import NativeFile
    from pyiceberg.io import FileIO

    from headgate_writer.parquet.layout import Layout
    from headgate_writer.parquet.partitioning import Key


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that belong into the same files.

    Attributes:
        rows: In the layout's schema.
        key: Their partition, None where the table has none.
        name: Begin of the files' names, which no other part bears.
        order_id: Id of the sort order they are in, None where they are in none.
        dictionaries: Parquet paths of the columns that are written with a dictionary.
    """

    rows: pa.Table
    key: Key | None
    name: str
    order_id: int | None
    dictionaries: Sequence[str]


def write_part(part: Part, layout: Layout, io: FileIO, begun: list[str]) -> list[DataFile]:
    """Write a part, row group by row group, and go on in a new file each time one has reached its size.

    Args:
        part: The rows.
        layout: Of the table.
        io: Its store.
        begun: Takes the location of every file before its first byte is written.

    Raises:
        OSError: The store does not take them.
    """
    size = layout.encoding.rows_per_group(part.rows)
    starts = deque(range(0, part.rows.num_rows, size))
    files: list[DataFile] = []
    while starts:
        location = layout.locations.new_data_location(f"{part.name}-{len(files):05d}.parquet", part.key)
        begun.append(location)
        with cast("NativeFile", io.new_output(location).create(overwrite=True)) as sink:
            options = {**layout.encoding.options, "use_dictionary": list(part.dictionaries)}
            with pq.ParquetWriter(sink, layout.schema, **options) as writer:
                writer.write_table(part.rows.slice(starts.popleft(), size), size)
                while starts and sink.tell() < layout.encoding.file_bytes:
                    writer.write_table(part.rows.slice(starts.popleft(), size), size)
            size_bytes = sink.tell()
        files.append(_data_file(location, size_bytes, writer.writer.metadata, part, layout))
    return files


def _data_file(location: str, size_bytes: int, footer: pq.FileMetaData, part: Part, layout: Layout) -> DataFile:
    statistics = data_file_statistics_from_parquet_metadata(footer, layout.statistics, layout.field_ids)
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=part.key.partition if part.key else Record(),
        file_size_in_bytes=size_bytes,
        sort_order_id=part.order_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    file.spec_id = layout.spec_id
    return file
