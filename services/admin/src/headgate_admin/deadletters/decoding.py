"""Decodes what could not be decoded, as far as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from fastavro import parse_schema, schemaless_reader
from headgate_runtime.errors import UnknownSchemaError
from headgate_schemas import strip_logical_types
from headgate_schemas.records import walk_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import RecordSchema

_FRAME_BYTES: Final = 5


@dataclass(frozen=True, slots=True)
class Decoded:
    """A value as far as it could be read.

    Attributes:
        value: The fields before the first that could not be read; None where not one could.
        left_bytes: Bytes that are not part of them.
        note: What stood in the way; None where all of it was read.
        pii: Class of personal data by path of these fields; None where nobody has said which are personal.
    """

    value: dict[str, Any] | None
    left_bytes: int
    note: str | None
    pii: Mapping[str, str] | None = None


def decode_as_far(value: bytes, registry: SchemaRegistry, reader: RecordSchema) -> Decoded:
    """Decode the fields of a framed value up to the first that cannot be read.

    Args:
        value: The record's value.
        registry: Knows the schema it was written with.
        reader: The record it should be; stands in for a schema that the registry does not know.
    """
    if len(value) < _FRAME_BYTES or value[0] != 0:
        return Decoded(
            None, len(value), "no Confluent frame: a value starts with a zero byte and a schema id in four bytes"
        )
    schema_id, datum = int.from_bytes(value[1:_FRAME_BYTES], "big"), value[_FRAME_BYTES:]
    note = None
    try:
        schema = registry.schema(schema_id)
    except UnknownSchemaError:
        schema, note = reader.schema, f"the registry does not know schema {schema_id}: read as {reader.label}"
    # Another record's fields are tagged by nobody we know.
    ours = schema.get("name", "").rpartition(".")[2] == reader.name
    tags = {path: field["pii"] for path, field in walk_fields(schema) if "pii" in field} if ours else {}
    fields = schema.get("fields", [])
    for count in range(len(fields), 0, -1):
        found = _first_fields(schema, count, datum)
        if found is None:
            continue
        decoded, left = found
        if count < len(fields):
            note = f"field {fields[count]['name']} cannot be read"
        elif left:
            note = f"{left} bytes follow the {reader.name}"
        return Decoded(decoded, left, note, {**reader.pii, **tags} if ours else None)
    return Decoded(None, len(datum), f"not one field can be read as schema {schema_id} has it")


def _first_fields(schema: Mapping[str, Any], count: int, datum: bytes) -> tuple[dict[str, Any], int] | None:
    stream = BytesIO(datum)
    try:
        part = parse_schema(strip_logical_types({**schema, "fields": schema["fields"][:count]}))
        decoded = schemaless_reader(stream, part, None)
    except Exception:  # noqa: BLE001 - whatever foreign bytes and schemas make the codec raise
        return None
    return (decoded, len(datum) - stream.tell()) if isinstance(decoded, dict) else None
