"""Newer versions of a record, met in the topic: what the record becomes that reads the old and the new, if there is one.

Fields come, never go: the table keeps its columns. What is new may be null, for it is null in every row before it.
A type gives way to a wider one where no value changes and a table's column can follow: int to long, float to double.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastavro import parse_schema
from headgate_runtime.errors import ConfigurationError
from headgate_schemas import ContractError, incompatibilities
from headgate_schemas.records import named_types, parse_record

from headgate_writer.errors import NotStorableError
from headgate_writer.schema import decoded_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_schemas import RecordSchema

# The type both fit in without a changed value, and which a column of the first can become.
_WIDER: Mapping[tuple[str, str], str] = {
    ("int", "long"): "long",
    ("long", "int"): "long",
    ("float", "double"): "double",
    ("double", "float"): "double",
    ("double", "int"): "double",
}


def merged_record(reader: RecordSchema, written: Mapping[str, Any]) -> RecordSchema:
    """Return the record that reads what both schemas write; the reader itself where it does already.

    Args:
        reader: What the topic's values are read as now.
        written: Avro schema of a record in the topic, in JSON form.

    Raises:
        NotStorableError: No record reads both, or no table holds it; says which field and why.
    """
    try:
        ours, theirs = _parsed(reader.schema), _parsed(written)
        merged = _Merge(named_types(ours), named_types(theirs)).record(ours, theirs)
    except NotStorableError:
        raise
    except Exception as error:  # a foreign schema fails in as many ways as a datum
        raise NotStorableError(f"it is no record schema that can be read ({type(error).__name__})") from error
    if merged == ours:
        _require_readable(reader, reader.schema, written)
        return reader
    try:
        record = parse_record(reader.name, reader.version, merged)
        decoded_schema(record)
    except (ContractError, ConfigurationError) as error:
        raise NotStorableError(str(error)) from error
    for schema in (reader.schema, written):
        _require_readable(record, record.schema, schema)
    return record


def _require_readable(reader: RecordSchema, schema: Mapping[str, Any], written: Mapping[str, Any]) -> None:
    for problem in incompatibilities(dict(schema), dict(written)):
        raise NotStorableError(f"{reader.name} cannot be read from it: {problem}")


class _Merge:
    """Merges two parsed schemas; a named type stands in full where it comes first, and by name afterwards."""

    def __init__(self, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
        self._ours = {_short(name): schema for name, schema in ours.items()}
        self._theirs = {_short(name): schema for name, schema in theirs.items()}
        self._stated: set[str] = set()

    def record(self, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Any:
        return self._named(ours, theirs, "")

    def _either(self, ours: Any, theirs: Any, path: str) -> Any:
        """Merge the types of a field that both have; what may be null in one may be null."""
        one, other = _single(ours, path), _single(theirs, path)
        merged = self._type(one, other, path)
        if _nullable(theirs) and not _nullable(ours):
            return ["null", merged]
        return [branch if branch == "null" else merged for branch in ours] if isinstance(ours, list) else merged

    def _type(self, ours: Any, theirs: Any, path: str) -> Any:
        ours, theirs = self._inline(ours, self._ours), self._inline(theirs, self._theirs)
        kind, other = _kind(ours), _kind(theirs)
        if kind == other and kind in {"record", "enum", "fixed"}:
            return self._named(ours, theirs, path)
        if kind == other and kind in {"array", "map"}:
            inner = "items" if kind == "array" else "values"
            return {**ours, inner: self._either(ours[inner], theirs[inner], path + ("[]" if kind == "array" else "{}"))}
        if kind == other and _logical(ours) == _logical(theirs):
            return ours
        if (kind, other) in _WIDER and not _logical(ours) and not _logical(theirs):
            return _WIDER[kind, other]
        raise NotStorableError(f"field {path} is {_described(theirs)}, and its column holds {_described(ours)}")

    def _named(self, ours: Mapping[str, Any], theirs: Mapping[str, Any], path: str) -> Any:
        short = _short(ours["name"])
        if short != _short(theirs["name"]):
            raise NotStorableError(f"{path or 'it'} is {_described(theirs)}, not {_described(ours)}")
        if short in self._stated:
            return ours["name"]
        self._stated.add(short)
        merged = dict(ours)
        if ours["type"] == "record":
            merged["fields"] = self._fields(ours["fields"], theirs["fields"], path)
        elif ours["type"] == "enum":
            merged["symbols"] = list(dict.fromkeys([*ours["symbols"], *theirs["symbols"]]))
        return merged

    def _fields(self, ours: list[Any], theirs: list[Any], path: str) -> list[Any]:
        written = {field["name"]: field for field in theirs}
        known = {field["name"] for field in ours}
        merged = []
        for field in ours:
            source = _source(field, written, known)
            merged.append(self._known(field, written.pop(source) if source else None, _join(path, field)))
        merged += [self._new(field, _join(path, field)) for field in written.values()]
        names = [field["name"].lower() for field in merged]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise NotStorableError(f"{', '.join(twice)} would differ from another column by upper and lower case alone")
        return merged

    def _known(self, field: Mapping[str, Any], written: Mapping[str, Any] | None, path: str) -> Any:
        if written is None:
            return {**field, "type": self._alone(field["type"])}
        merged = {**field, "type": self._either(field["type"], written["type"], path)}
        if written["name"] not in {field["name"], *field.get("aliases", ())}:
            merged["aliases"] = [*field.get("aliases", ()), written["name"]]
        if _nullable(merged["type"]) and not _nullable(field["type"]):
            if field.get("default") is not None:
                merged["type"] = merged["type"][::-1]  # a default is of the first type
            else:
                merged["default"] = None
        return merged

    def _new(self, field: Mapping[str, Any], path: str) -> Any:
        """A field that only newer versions have: null wherever it was not written."""
        if "default" not in field and not _nullable(field["type"]):
            raise NotStorableError(f"field {path} is new, has to be there and has no default: give it one")
        kept = {key: value for key, value in field.items() if key != "aliases"}
        return {**kept, "type": ["null", self._alone(_single(field["type"], path))], "default": None}

    def _alone(self, schema: Any) -> Any:
        """A type that only one of the two has at its place; its named types may be elsewhere in the other."""
        if isinstance(schema, list):
            return [self._alone(branch) for branch in schema]
        schema = self._inline(self._inline(schema, self._ours), self._theirs)
        if not isinstance(schema, dict):
            return schema
        short = _short(schema.get("name", ""))
        if short in self._ours and short in self._theirs:
            return self._named(self._ours[short], self._theirs[short], short)
        if short in self._stated:
            return schema["name"]
        if short:
            self._stated.add(short)
        copied = {key: self._alone(value) if key in {"items", "values"} else value for key, value in schema.items()}
        if "fields" in schema:
            copied["fields"] = [{**field, "type": self._alone(field["type"])} for field in schema["fields"]]
        return copied

    @staticmethod
    def _inline(schema: Any, names: Mapping[str, Any]) -> Any:
        """A named type for its name, and what a needless wrapping holds."""
        while isinstance(schema, dict) and isinstance(schema["type"], dict | list):
            schema = schema["type"]
        return names.get(_short(schema), schema) if isinstance(schema, str) else schema


def _source(field: Mapping[str, Any], written: Mapping[str, Any], known: set[str]) -> str | None:
    """Name of the written field that a field is read from: its own, an alias of it, or one that it is an alias of."""
    for name in (field["name"], *field.get("aliases", ())):
        if name in written:
            return str(name)
    renamed = (name for name, other in written.items() if field["name"] in other.get("aliases", ()))
    return next((name for name in renamed if name not in known), None)


def _single(schema: Any, path: str) -> Any:
    """The one type of a value that is not null."""
    branches = [branch for branch in schema if branch != "null"] if isinstance(schema, list) else [schema]
    if len(branches) != 1:
        raise NotStorableError(f"field {path} is a union of {len(branches)} types; only null and one type fit a column")
    return branches[0]


def _nullable(schema: Any) -> bool:
    return isinstance(schema, list) and "null" in schema


def _parsed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A record's schema with full names, and without the parser's own notes."""
    parsed: Any = parse_schema(dict(schema))
    return {key: value for key, value in parsed.items() if not key.startswith("__")}


def _kind(schema: Any) -> str:
    return str(schema["type"] if isinstance(schema, dict) else schema)


def _logical(schema: Any) -> str | None:
    return schema.get("logicalType") if isinstance(schema, dict) else None


def _described(schema: Any) -> str:
    name = schema["name"] if isinstance(schema, dict) and "name" in schema else _logical(schema)
    return f"{_kind(schema)} {name}" if name else _kind(schema)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _join(path: str, field: Mapping[str, Any]) -> str:
    return f"{path}.{field['name']}" if path else str(field["name"])
