"""Tables to write data files of, without a catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO, _pyarrow_to_schema_without_ids
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import assign_fresh_schema_ids
from pyiceberg.table import Table
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.transforms import parse_transform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("at", INSTANT),
        pa.field("number", pa.int32()),
        pa.field("text", pa.string()),
        pa.field("raw", pa.binary()),
        pa.field("day", pa.date32()),
        pa.field(
            "inner", pa.struct([pa.field("user", pa.string()), pa.field("deep", pa.struct([pa.field("at", INSTANT)]))])
        ),
        pa.field("tags", pa.list_(pa.field("element", pa.struct([pa.field("name", pa.string(), nullable=False)])))),
        pa.field("map", pa.map_(pa.string(), pa.field("value", pa.float64()))),
        pa.field("flag", pa.bool_()),
        pa.field("ratio", pa.float32()),
    ]
)


def table_of(
    folder: Path,
    schema: pa.Schema = SCHEMA,
    partition_by: Sequence[tuple[str, str]] = (),
    order_by: Sequence[tuple[str, str, str]] = (),
    properties: Mapping[str, str] | None = None,
) -> Table:
    """Make a table under a folder.

    Args:
        folder: Where its files go.
        schema: Columns.
        partition_by: Column and transform of each partition field.
        order_by: Column, asc or desc, first or last (for nulls) of each sort field.
        properties: Table properties.
    """
    columns = assign_fresh_schema_ids(_pyarrow_to_schema_without_ids(schema))
    spec = PartitionSpec(
        *(
            PartitionField(columns.find_field(path).field_id, 1000 + place, parse_transform(transform), f"part{place}")
            for place, (path, transform) in enumerate(partition_by)
        )
    )
    fields = [
        SortField(
            columns.find_field(path).field_id,
            parse_transform("identity"),
            SortDirection(direction),
            NullOrder(f"nulls-{nulls}"),
        )
        for path, direction, nulls in order_by
    ]
    order = SortOrder(*fields, order_id=1) if fields else UNSORTED_SORT_ORDER
    metadata = new_table_metadata(columns, spec, order, folder.as_uri(), dict(properties or {}))
    return Table(("lake", "events"), metadata, "", PyArrowFileIO(), NoopCatalog("none"))
