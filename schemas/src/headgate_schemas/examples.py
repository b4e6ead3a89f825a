"""Example values of records: ``examples/<record>/*.json``, plain JSON with bytes as Avro's JSON has them (latin-1 text)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastavro.validation import ValidationError, validate

from headgate_schemas.errors import ContractError
from headgate_schemas.records import named_types

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headgate_schemas.records import RecordSchema


def read_example(path: Path, record: RecordSchema) -> dict[str, Any]:
    """Read one example and hold it against its record; see :func:`parse_value`."""
    return parse_value(path.read_text("utf-8"), record, where=f"examples/{path.parent.name}/{path.name}")


def parse_value(text: str, record: RecordSchema, *, where: str) -> dict[str, Any]:
    """Read a value that is written as JSON and hold it against its record.

    Args:
        text: The JSON.
        record: What it has to be.
        where: Where it stands, for errors.

    Returns:
        The value as a codec takes it: timestamps int milliseconds, bytes as bytes.

    Raises:
        ContractError: Not JSON, not of the record, or with a field the record does not know.
    """
    try:
        value = _with_bytes(json.loads(text), record.raw, named_types(record.raw))
        validate(value, record.raw, strict=True)
    except ValidationError as error:
        raise ContractError([f"{where}: {problem}" for problem in error.errors]) from error
    except ValueError as error:
        raise ContractError(f"{where}: {error}") from error
    if not isinstance(value, dict):
        raise ContractError(f"{where}: expected one {record.name}, a JSON object")
    return value


def _with_bytes(value: Any, schema: Any, names: Mapping[str, Any]) -> Any:
    """JSON text to bytes where the schema wants bytes; what does not fit is left for the validation to name."""
    schema = _value_type(schema, names)
    kind = schema["type"] if isinstance(schema, dict) else schema
    match value:
        case str() if kind in {"bytes", "fixed"}:
            return value.encode("latin-1")
        case dict() if kind == "record":
            types = {field["name"]: field["type"] for field in schema["fields"]}
            unknown = value.keys() - types.keys()
            if unknown:
                raise ValueError(f"{schema['name']} has no field {', '.join(sorted(unknown))}")
            return {name: _with_bytes(part, types[name], names) for name, part in value.items()}
        case dict() if kind == "map":
            return {name: _with_bytes(part, schema["values"], names) for name, part in value.items()}
        case list() if kind == "array":
            return [_with_bytes(part, schema["items"], names) for part in value]
    return value


def _value_type(schema: Any, names: Mapping[str, Any]) -> Any:
    """The type of a value that is not null: a named type inlined; a union of several is left alone."""
    if isinstance(schema, list):
        wanted = [branch for branch in schema if branch != "null"]
        return _value_type(wanted[0], names) if len(wanted) == 1 else "union"
    return names.get(schema, schema) if isinstance(schema, str) else schema
