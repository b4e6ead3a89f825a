"""Adds columns to a table, so that it holds the rows of a wider schema; what is there stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import structlog
from pyiceberg.exceptions import ValidationError
from pyiceberg.types import ListType, MapType, StructType

from headgate_writer.errors import NotStorableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.table import Table as PyIcebergTable
    from pyiceberg.types import IcebergType

_log = structlog.get_logger()


def widen(table: PyIcebergTable, schema: pa.Schema) -> None:
    """Give a table the columns of a schema that it lacks, in one commit; none where it lacks nothing.

    New columns may be null, for they are in every row there is. Narrower types and columns that may not be null fit
    wider types and columns that may.

    Args:
        table: The table as it stands in the catalog; refreshed by the commit.
        schema: As :func:`headgate_writer.schema.stored_schema` gives it.

    Raises:
        NotStorableError: The table cannot hold the rows of this schema.
        CommitFailedException: Somebody else changed the table; refresh it and ask again.
    """
    present = table.schema()
    absent = [field.name for field in present.fields if field.required and field.name not in schema.names]
    if absent:
        raise NotStorableError(f"its column {absent[0]} may not be null, and the rows have none")
    try:
        with table.update_schema() as update:
            update.union_by_name(pa.schema(_fields(schema, present.as_struct())))
    except (ValidationError, ValueError) as error:
        raise NotStorableError(str(error)) from error
    if table.schema().schema_id != present.schema_id:
        columns = sorted(set(table.schema().column_names) - set(present.column_names))
        _log.info("table widened", table=".".join(table.name()), columns=columns)


def _fields(fields: Iterable[pa.Field], present: StructType) -> list[pa.Field]:
    """Fields as they are where the table has them, and nullable where it has not."""
    known = {field.name: field.field_type for field in present.fields}
    return [
        field.with_type(_type(field.type, known[field.name]))
        if field.name in known
        else field.with_nullable(nullable=True)
        for field in fields
    ]


def _type(kind: pa.DataType, present: IcebergType) -> pa.DataType:
    if pa.types.is_struct(kind) and isinstance(present, StructType):
        return pa.struct(_fields(kind, present))
    if pa.types.is_list(kind) and isinstance(present, ListType):
        return pa.list_(kind.value_field.with_type(_type(kind.value_type, present.element_type)))
    if pa.types.is_map(kind) and isinstance(present, MapType):
        return pa.map_(kind.key_type, kind.item_field.with_type(_type(kind.item_type, present.value_type)))
    return kind
