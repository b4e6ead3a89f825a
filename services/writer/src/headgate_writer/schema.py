"""From an Avro record to the columns of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from headgate_runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headgate_schemas import RecordSchema

INSTANT = pa.timestamp("us", tz="UTC")

# Where each row came from, so that "nothing lost, nothing doubled" is one query over any table.
POSITION_COLUMNS = pa.schema(
    [
        pa.field("_topic", pa.string(), nullable=False),
        pa.field("_kafka_partition", pa.int32(), nullable=False),
        pa.field("_offset", pa.int64(), nullable=False),
        pa.field("_ingested_at", INSTANT, nullable=False),
    ],
)

_PRIMITIVES: Mapping[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "bytes": pa.binary(),
}
_LOGICAL: Mapping[tuple[str, str], pa.DataType] = {
    ("long", "timestamp-millis"): pa.timestamp("ms", tz="UTC"),
    ("long", "timestamp-micros"): INSTANT,
    ("int", "date"): pa.date32(),
    ("string", "uuid"): pa.string(),
}


def decoded_schema(record: RecordSchema) -> pa.Schema:
    """Return the Arrow schema of decoded values: instants in the unit Avro has them in.

    A field is nullable where Avro says so and everywhere inside a nullable record: some readers give a null struct
    null children.

    Raises:
        ConfigurationError: The record has a type that no table column can hold.
    """
    reader = _AvroReader(record.label)
    columns = reader.fields(record.schema, "", inside_nullable=False)
    reserved = {column.name for column in columns} & set(POSITION_COLUMNS.names)
    if reserved:
        raise ConfigurationError(
            f"{record.label}: {', '.join(sorted(reserved))} names a column the writer adds; rename"
        )
    return pa.schema(columns)


def stored_schema(decoded: pa.Schema) -> pa.Schema:
    """Return the table's Arrow schema: the record's columns with instants in microseconds, then the position columns."""
    return pa.schema([*(field.with_type(with_leaves(field.type, _stored)) for field in decoded), *POSITION_COLUMNS])


def instants(schema: pa.Schema) -> Iterator[tuple[str, ...]]:
    """Yield the path of every instant that is reached through structs alone."""
    for field in schema:
        yield from _instants(field, ())


def _instants(field: pa.Field, parents: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    path = (*parents, field.name)
    if pa.types.is_timestamp(field.type):
        yield path
    elif pa.types.is_struct(field.type):
        for child in field.type:
            yield from _instants(child, path)


def with_leaves(kind: pa.DataType, leaf: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """Return a type with other types in the places of its leaves; structs, lists and maps stay around them."""
    if pa.types.is_struct(kind):
        return pa.struct([child.with_type(with_leaves(child.type, leaf)) for child in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(with_leaves(kind.value_type, leaf)))
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, kind.item_field.with_type(with_leaves(kind.item_type, leaf)))
    return leaf(kind)


def _stored(kind: pa.DataType) -> pa.DataType:
    return INSTANT if pa.types.is_timestamp(kind) else kind


class _AvroReader:
    """Walks one Avro schema; named types stand in full at their first use and by name afterwards."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._named: dict[str, pa.DataType | None] = {}

    def fields(self, record: Mapping[str, Any], path: str, *, inside_nullable: bool) -> list[pa.Field]:
        columns = []
        for field in record["fields"]:
            here = f"{path}.{field['name']}" if path else field["name"]
            columns.append(self._field(field["name"], field["type"], here, inside_nullable=inside_nullable))
        return columns

    def _field(self, name: str, avro: Any, path: str, *, inside_nullable: bool) -> pa.Field:
        nullable = inside_nullable
        if isinstance(avro, list):
            branches = [branch for branch in avro if branch != "null"]
            nullable = nullable or len(branches) < len(avro)
            if len(branches) != 1:
                raise self._unfit(path, f"a union of {len(branches)} types; only null and one type fit a column")
            avro = branches[0]
        return pa.field(name, self._type(avro, path, inside_nullable=nullable), nullable=nullable)

    def _type(self, avro: Any, path: str, *, inside_nullable: bool) -> pa.DataType:
        if isinstance(avro, str):
            return self._by_name(avro, path)
        kind = avro["type"]
        match kind:
            case str() if "logicalType" in avro:
                found = self._logical(kind, avro["logicalType"], path)
            case "record":
                found = self._record(avro, path, inside_nullable=inside_nullable)
            case "array":
                found = pa.list_(self._field("element", avro["items"], f"{path}[]", inside_nullable=inside_nullable))
            case "map":
                item = self._field("value", avro["values"], f"{path}{{}}", inside_nullable=inside_nullable)
                found = pa.map_(pa.string(), item)
            case "enum" | "fixed":
                found = self._remember(avro, pa.binary(avro["size"]) if kind == "fixed" else pa.string())
            case _:
                found = self._type(kind, path, inside_nullable=inside_nullable)
        return found

    def _logical(self, kind: str, logical: str, path: str) -> pa.DataType:
        if (kind, logical) not in _LOGICAL:
            raise self._unfit(path, f"logical type {logical} of {kind} has no column type here")
        return _LOGICAL[kind, logical]

    def _record(self, avro: Mapping[str, Any], path: str, *, inside_nullable: bool) -> pa.DataType:
        self._remember(avro, None)
        return self._remember(avro, pa.struct(self.fields(avro, path, inside_nullable=inside_nullable)))

    def _by_name(self, name: str, path: str) -> pa.DataType:
        if name in _PRIMITIVES:
            return _PRIMITIVES[name]
        short = name.rpartition(".")[2]
        if self._named.get(short) is None:
            raise self._unfit(path, f"type {name} contains itself or is not known; a column has a finite type")
        return self._named[short]

    def _remember(self, avro: Mapping[str, Any], kind: pa.DataType | None) -> pa.DataType:
        self._named[avro["name"].rpartition(".")[2]] = kind
        return kind

    def _unfit(self, path: str, why: str) -> ConfigurationError:
        return ConfigurationError(f"{self._label}: field {path}: {why}. Change the record before a table is made of it")
