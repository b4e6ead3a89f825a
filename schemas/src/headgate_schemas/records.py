"""Avro records as contracts: the schema as written, as the codec wants it, and its personal data."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema
from fastavro.schema import SchemaParseException, UnknownType, to_parsing_canonical_form

from headgate_schemas.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

_FILE_NAME = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)\.v(?P<version>[1-9][0-9]*)\.avsc")
_NAMED = {"record", "enum", "fixed", "error"}


@dataclass(frozen=True, slots=True, eq=False)
class RecordSchema:
    """One released version of a record.

    Attributes:
        name: Name of the record, without namespace.
        version: 1, then up; a file ``<name>.v<version>.avsc`` is a release.
        schema: The schema as in the file.
        text: The schema as compact JSON, attributes in the file's order: what is registered.
        raw: The schema parsed for fastavro with logical types stripped, so that timestamps are int milliseconds.
        pii: Class of personal data (``direct``, ``quasi``) by field path; items of an array are ``path[]``.
    """

    name: str
    version: int
    schema: dict[str, Any]
    text: str
    raw: dict[str, Any]
    pii: Mapping[str, str]

    @property
    def label(self) -> str:
        """Name and version as the file has them: ``base_event.v1``."""
        return f"{self.name}.v{self.version}"

    def starts_with(self, other: RecordSchema) -> bool:
        """Whether a value starts, byte for byte, as one of the other record with the same fields does."""
        count = len(other.raw["fields"])
        # The canonical form leaves out docs, defaults and our own attributes: what remains decides on the bytes.
        ours, theirs = (
            to_parsing_canonical_form({"type": "record", "name": "part", "fields": record.raw["fields"][:count]})
            for record in (self, other)
        )
        return bool(ours == theirs)

    def field_type(self, path: str) -> Any:
        """The Avro type (as in ``raw``) of the field at a dotted path; None where the record has no such field.

        A part that may be null is followed into its record.
        """
        names = named_types(self.raw)
        schema: Any = self.raw
        for part in path.split("."):
            record = _record_in(schema, names)
            found = [field["type"] for field in record["fields"] if field["name"] == part] if record else []
            if not found:
                return None
            schema = found[0]
        return schema


def project(record: RecordSchema, paths: Collection[str]) -> RecordSchema:
    """The record with no more fields than those at the paths: a reader of it passes over all others.

    Args:
        record: The record.
        paths: Dotted paths of fields.

    Raises:
        ContractError: The record has no such field.
    """
    for path in paths:
        if record.field_type(path) is None:
            raise ContractError(f"{record.label} has no field {path}")
    return parse_record(
        record.name, record.version, _projected(record.schema, {tuple(each.split(".")) for each in paths})
    )


def _projected(schema: Any, paths: set[tuple[str, ...]]) -> Any:
    """A schema in JSON form with the fields that lie on the paths; a path that ends takes the whole field."""
    if () in paths:
        return schema
    if isinstance(schema, list):
        return [branch if branch == "null" else _projected(branch, paths) for branch in schema]
    inside: dict[str, set[tuple[str, ...]]] = {}
    for first, *rest in paths:
        inside.setdefault(first, set()).add(tuple(rest))
    fields = [
        {**field, "type": _projected(field["type"], inside[field["name"]])}
        for field in schema["fields"]
        if field["name"] in inside
    ]
    return {**schema, "fields": fields}


def parse_record(name: str, version: int, schema: dict[str, Any]) -> RecordSchema:
    """Build a record from a schema in JSON form.

    Raises:
        ContractError: The schema is no valid Avro record or is named otherwise.
    """
    try:
        raw = parse_schema(strip_logical_types(schema))
    except (SchemaParseException, UnknownType, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(f"{name}.v{version}.avsc: not a valid Avro schema: {error}") from error
    if (
        not isinstance(raw, dict)
        or raw["type"] != "record"
        or "fields" not in raw
        or schema["name"].rpartition(".")[2] != name
    ):
        raise ContractError(
            f"{name}.v{version}.avsc: expected a record {name!r} with fields; name the file after the record"
        )
    for record in named_types(raw).values():
        fields = [field["name"] for field in record.get("fields", ())]
        if len(fields) != len(set(fields)):
            raise ContractError(f"{name}.v{version}.avsc: {record['name']}: two fields have the same name: {fields}")
    text = json.dumps(schema, separators=(",", ":"), ensure_ascii=False)
    return RecordSchema(name, version, schema, text, raw, dict(_pii(raw, "")))


def read_record(path: Path) -> RecordSchema:
    """Read one ``<record>.v<N>.avsc``.

    Raises:
        ContractError: The file's name, JSON or schema is wrong.
    """
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        raise ContractError(f"{path.name}: a schema file is called <record>.v<N>.avsc, N from 1")
    try:
        schema = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ContractError(f"{path.name}: not JSON: {error}") from error
    if not isinstance(schema, dict):
        raise ContractError(f"{path.name}: expected one record, an object with type, name and fields")
    return parse_record(match["name"], int(match["version"]), schema)


def strip_logical_types(schema: Any) -> Any:
    """A copy of an Avro schema (JSON form, parsed or not) without logical types: values stay plain numbers and bytes."""
    if isinstance(schema, list):
        return [strip_logical_types(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "logicalType"}
    for key in ("type", "items", "values"):
        if key in kept:
            kept[key] = strip_logical_types(kept[key])
    if "fields" in kept:
        kept["fields"] = [{**field, "type": strip_logical_types(field["type"])} for field in kept["fields"]]
    return kept


def walk_fields(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of a schema with its path, outermost first; array items are ``path[]``, map values ``path{}``.

    A named type has its fields wherever it is used; one inside itself ends there.
    """
    return _walk(schema, path, {}, frozenset())


def _walk(
    schema: Any, path: str, named: dict[str, dict[str, Any]], within: frozenset[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        for branch in schema:
            yield from _walk(branch, path, named, within)
    elif isinstance(schema, str):
        if schema in named and schema not in within:
            yield from _walk(named[schema], path, named, within)
    elif isinstance(schema, dict):
        if schema.get("type") in _NAMED:
            named[schema["name"]] = schema
            within |= {schema["name"]}
        for field in schema.get("fields", ()):
            here = f"{path}.{field['name']}" if path else field["name"]
            yield here, field
            yield from _walk(field["type"], here, named, within)
        yield from _walk(schema.get("items"), f"{path}[]", named, within)
        yield from _walk(schema.get("values"), f"{path}{{}}", named, within)
        if isinstance(schema.get("type"), (dict, list)):
            yield from _walk(schema["type"], path, named, within)


def _pii(schema: Any, path: str) -> Iterator[tuple[str, str]]:
    return ((here, field["pii"]) for here, field in walk_fields(schema, path) if "pii" in field)


def named_types(schema: Any) -> dict[str, dict[str, Any]]:
    """Named types of a parsed schema by full name (fastavro writes full names)."""
    found: dict[str, dict[str, Any]] = {}
    if isinstance(schema, dict):
        if schema.get("type") in _NAMED:
            found[schema["name"]] = schema
        for _, field in walk_fields(schema):
            for inner in _types_in(field["type"]):
                found |= {inner["name"]: inner}
    return found


def _types_in(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, list):
        for branch in schema:
            yield from _types_in(branch)
    elif isinstance(schema, dict):
        if schema.get("type") in _NAMED:
            yield schema
        for key in ("items", "values"):
            yield from _types_in(schema.get(key))


def _record_in(schema: Any, names: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The record a path can go on into: the schema itself, what it names, or the one record of a nullable union."""
    branches = schema if isinstance(schema, list) else [schema]
    resolved = [names.get(branch) if isinstance(branch, str) else branch for branch in branches]
    records = [branch for branch in resolved if branch is not None and branch.get("type") == "record"]
    return records[0] if len(records) == 1 else None
