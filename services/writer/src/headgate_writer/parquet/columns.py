"""Rows as the table's current schema has them: names, types, nullability, field ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from headgate_runtime.errors import ConfigurationError
from pyiceberg.io.pyarrow import schema_to_pyarrow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.schema import Schema


def file_schema(schema: Schema) -> pa.Schema:
    """Return the Arrow schema that makes a Parquet file of an Iceberg schema, field ids included.

    Texts and lists have 32-bit offsets in memory, as the decoder makes them; a file does not show it.
    """
    return pa.schema([field.with_type(_narrow(field.type)) for field in schema_to_pyarrow(schema)])


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring rows into a file's schema; nothing is copied where they have its types and order already.

    A column the rows do not have, at any depth, is null.

    Args:
        rows: Columns in any order.
        schema: As :func:`file_schema` gives it.

    Raises:
        ConfigurationError: The rows have a column the table has not, lack one it requires, or a value does not fit.
    """
    if rows.schema.names != schema.names or rows.schema.types != schema.types:
        if unknown := [*_unknown(pa.struct(list(rows.schema)), pa.struct(list(schema)), "")]:
            raise ConfigurationError(f"the table has no column {', '.join(unknown)}; add it before rows that have it")
        rows = pa.Table.from_arrays([_column(rows, field) for field in schema], schema=schema)
    for field, column in zip(schema, rows.columns, strict=True):
        if not field.nullable and column.null_count:
            raise _required(field)
    return pa.Table.from_arrays(rows.columns, schema=schema)


def leaves(rows: pa.Table) -> Iterator[tuple[str, pa.Array]]:
    """Yield each column that holds values, by its path as Parquet names it.

    Args:
        rows: No slice of a larger table.
    """
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        yield from _leaves(name, column.combine_chunks())


def _leaves(path: str, values: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    kind = values.type
    if pa.types.is_struct(kind):
        for field, child in zip(kind, values.flatten(), strict=True):
            yield from _leaves(f"{path}.{field.name}", child)
    elif pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", values.flatten())
    elif pa.types.is_map(kind):
        yield from _leaves(f"{path}.key_value.key", values.keys)
        yield from _leaves(f"{path}.key_value.value", values.items)
    else:
        yield path, values


def _column(rows: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name not in rows.column_names:
        if not field.nullable:
            raise _required(field)
        return pa.chunked_array([pa.nulls(rows.num_rows, field.type)])
    try:
        return rows.column(field.name).cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ConfigurationError(f"rows do not fit column {field.name} of the table: {error}") from error


def _required(field: pa.Field) -> ConfigurationError:
    return ConfigurationError(
        f"the table requires column {field.name}, and the rows do not have it: make the column optional "
        f"(ALTER TABLE ... ALTER COLUMN {field.name} DROP NOT NULL), or give the contract another table"
    )


def _unknown(rows: pa.DataType, table: pa.DataType, path: str) -> Iterator[str]:
    """Yield the paths that only the rows have: a cast would drop them without a word."""
    known = {child.name: child for child in _children(table)}
    for child in _children(rows):
        here = f"{path}.{child.name}" if path else child.name
        if child.name not in known:
            yield here
        else:
            yield from _unknown(child.type, known[child.name].type, here)


def _children(kind: pa.DataType) -> list[pa.Field]:
    if pa.types.is_struct(kind):
        return list(kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [kind.value_field.with_name("element")]
    if pa.types.is_map(kind):
        return [kind.key_field.with_name("key"), kind.item_field.with_name("value")]
    return []


def _narrow(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_struct(kind):
        return pa.struct([child.with_type(_narrow(child.type)) for child in kind])
    if pa.types.is_large_list(kind):
        return pa.list_(kind.value_field.with_type(_narrow(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(
            kind.key_field.with_type(_narrow(kind.key_type)), kind.item_field.with_type(_narrow(kind.item_type))
        )
    return kind
