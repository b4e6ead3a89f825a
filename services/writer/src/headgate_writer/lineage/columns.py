"""Schemas and columns as OpenLineage has them: what a topic's record and its table look like, and which field is which column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from headgate_schemas.records import walk_fields
from openlineage.client.facet_v2 import column_lineage_dataset, schema_dataset

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from headgate_schemas import RecordSchema

Field = schema_dataset.SchemaDatasetFacetFields

# What Kafka knows of a record beside its value, by the column it becomes; no field of a record may be called so.
RECORD_METADATA: Mapping[str, tuple[str, str]] = {
    "_topic": ("string", "Kafka's: the record's topic."),
    "_kafka_partition": ("int", "Kafka's: the record's partition."),
    "_offset": ("long", "Kafka's: the record's offset."),
}
_OWN: Mapping[str, str] = {"_ingested_at": "When the writer decoded the record."}
_IDENTITY = column_lineage_dataset.Transformation(type="DIRECT", subtype="IDENTITY", masking=False)
_HASH = column_lineage_dataset.Transformation(
    type="DIRECT", subtype="TRANSFORMATION", description="HMAC-SHA-256", masking=True
)
_ICEBERG_TYPES: Mapping[pa.DataType, str] = {
    pa.bool_(): "boolean",
    pa.int32(): "int",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.binary(): "binary",
    pa.date32(): "date",
}


def topic_fields(record: RecordSchema) -> list[Field]:
    """The fields of a topic's values, and what Kafka knows of each record."""
    metadata = [Field(name, kind, words) for name, (kind, words) in RECORD_METADATA.items()]
    return [*_avro_fields(record.schema), *metadata]


def table_fields(schema: pa.Schema, records: Iterable[RecordSchema]) -> list[Field]:
    """The columns of a table, described in the words of the records it is made of."""
    words = dict(_OWN) | {name: description for name, (_, description) in RECORD_METADATA.items()}
    for record in records:
        words |= {path: field["doc"] for path, field in walk_fields(record.schema) if "doc" in field}
    return [_column(field, field.name, words) for field in schema]


def lineage_of_columns(
    schema: pa.Schema, sources: Sequence[tuple[str, str, RecordSchema]], hashed: Collection[str] = ()
) -> column_lineage_dataset.ColumnLineageDatasetFacet:
    """Which field of which topic each column holds; a list or map is one column, a struct its fields.

    Args:
        schema: The table's columns.
        sources: Namespace and name of each topic, and the record of its values.
        hashed: Paths of the columns that hold hashes, items of lists as ``path[]``, values of maps as ``path{}``.
    """
    inputs: dict[str, list[column_lineage_dataset.InputField]] = {}
    for namespace, name, record in sources:
        masked = {re.split(r"[\[{]", path, maxsplit=1)[0] for path in hashed}
        known = {path for path, _ in walk_fields(record.schema)} | set(RECORD_METADATA)
        for path in leaves(schema):
            if path in known:
                source = column_lineage_dataset.InputField(
                    namespace, name, path, [_HASH if path in masked else _IDENTITY]
                )
                inputs.setdefault(path, []).append(source)
    fields = {path: column_lineage_dataset.Fields(inputFields=sources) for path, sources in inputs.items()}
    return column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields)


def leaves(fields: Iterable[pa.Field], parent: str = "") -> Iterator[str]:
    """Dotted paths of all columns that are no struct."""
    for field in fields:
        path = f"{parent}.{field.name}" if parent else field.name
        if pa.types.is_struct(field.type):
            yield from leaves(field.type, path)
        else:
            yield path


def _column(field: pa.Field, path: str, words: Mapping[str, str]) -> Field:
    kind, inner = _iceberg_type(field.type), []
    if pa.types.is_struct(field.type):
        inner = [_column(child, f"{path}.{child.name}", words) for child in field.type]
    elif pa.types.is_list(field.type):
        inner = [_column(field.type.value_field.with_name("_element"), f"{path}[]", words)]
    elif pa.types.is_map(field.type):
        value = field.type.item_field.with_name("value")
        inner = [Field("key", _iceberg_type(field.type.key_type)), _column(value, f"{path}{{}}", words)]
    return Field(field.name, kind, words.get(path), fields=inner)


def _iceberg_type(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return "struct"
    if pa.types.is_list(kind):
        return "list"
    if pa.types.is_map(kind):
        return "map"
    if pa.types.is_timestamp(kind):
        return "timestamptz"
    return _ICEBERG_TYPES.get(kind, str(kind))


def _avro_fields(schema: Any) -> list[Field]:
    """The fields of a record's schema; a type that is named again stands by its name."""
    return [
        Field(field["name"], _avro_type(field["type"]), field.get("doc"), fields=_inside(field["type"]))
        for field in schema.get("fields", ())
    ]


def _inside(avro: Any) -> list[Field]:
    match avro:
        case list():
            return [field for branch in avro for field in _inside(branch)]
        case {"type": "array", "items": items}:
            return [Field("_element", _avro_type(items), fields=_inside(items))]
        case {"type": "map", "values": values}:
            return [Field("key", "string"), Field("value", _avro_type(values), fields=_inside(values))]
        case {"type": dict() | list() as inner}:
            return _inside(inner)
        case dict():
            return _avro_fields(avro)
        case _:
            return []


def _avro_type(avro: Any) -> str:
    match avro:
        case list():
            return " | ".join(map(_avro_type, avro))
        case {"logicalType": str() as logical}:
            return logical
        case {"type": inner}:
            return _avro_type(inner)
        case _:
            return str(avro)
