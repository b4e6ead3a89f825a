"""Can data of one Avro schema be read with another? The resolution rules of the Avro specification 1.12, with reasons.

Stricter than the specification where it lets data through that a reader cannot use:

- bytes read as a string break on bytes that are no UTF-8;
- two different logical types (or decimals of different scale) give wrong values without an error;
- a field that is claimed twice by names and aliases is read differently by different libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema

from headgate_schemas.records import named_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from headgate_schemas.records import RecordSchema
    from headgate_schemas.topics import Compatibility

_PROMOTIONS = {
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
    ("string", "bytes"),
    ("bytes", "string"),
}
_LOGICAL = ("logicalType", "precision", "scale")


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """Something a writer may write that the reader cannot read.

    Attributes:
        path: Field path in the reader, empty for the schema itself.
        message: What breaks and why.
        silent: Reading does not fail and gives wrong values.
    """

    path: str
    message: str
    silent: bool = False

    def __str__(self) -> str:
        """The path and what breaks there."""
        return f"{self.path}: {self.message}" if self.path else self.message


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two versions of a record of which one cannot read what the other wrote, though they have to."""

    reader: RecordSchema
    writer: RecordSchema
    problem: Incompatibility

    def __str__(self) -> str:
        """Who cannot read what, and why."""
        return f"{self.reader.label} cannot read what {self.writer.label} wrote: {self.problem}"


def incompatibilities(reader: Any, writer: Any) -> list[Incompatibility]:
    """Everything that can break when data written with ``writer`` is read with ``reader``; both in JSON form."""
    reader, writer = parse_schema(reader), parse_schema(writer)
    return list(_Resolution(named_types(reader), named_types(writer)).resolve(reader, writer, ""))


def version_conflicts(versions: Sequence[RecordSchema], compatibility: Compatibility) -> Iterator[Conflict]:
    """What a compatibility level forbids between the versions of one record, oldest first."""
    if compatibility == "NONE":
        return
    transitive = compatibility.endswith("_TRANSITIVE")
    level = compatibility.removesuffix("_TRANSITIVE")
    pairs: Iterable[tuple[RecordSchema, RecordSchema]] = combinations(versions, 2) if transitive else pairwise(versions)
    for old, new in pairs:
        directions = {"BACKWARD": [(new, old)], "FORWARD": [(old, new)], "FULL": [(new, old), (old, new)]}[level]
        for reader, writer in directions:
            for problem in incompatibilities(reader.schema, writer.schema):
                yield Conflict(reader, writer, problem)


class _Resolution:
    """One reader against one writer; remembers the pairs of named types under way, so that recursive types end."""

    def __init__(self, reader_names: Mapping[str, Any], writer_names: Mapping[str, Any]) -> None:
        self._reader_names = reader_names
        self._writer_names = writer_names
        self._seen: set[tuple[str, str]] = set()

    def resolve(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        reader, writer = _inline(reader, self._reader_names), _inline(writer, self._writer_names)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.resolve(reader, branch, path)
        elif isinstance(reader, list):
            yield from self._resolve_union(reader, writer, path)
        elif not _matches(reader, writer):
            yield Incompatibility(path, f"{_describe(writer)} cannot be read as {_describe(reader)}")
        else:
            yield from _logical_types(reader, writer, path)
            yield from self._resolve_inside(reader, writer, path)

    def _resolve_union(self, reader: list[Any], writer: Any, path: str) -> Iterator[Incompatibility]:
        """A reader takes the first branch that matches, so that branch must be able to read everything."""
        branches = [_inline(branch, self._reader_names) for branch in reader]
        chosen = next((branch for branch in branches if _matches(branch, writer)), None)
        if chosen is None:
            offered = ", ".join(map(_describe, branches))
            yield Incompatibility(path, f"{_describe(writer)} cannot be read as any of: {offered}")
        else:
            yield from self.resolve(chosen, writer, path)

    def _resolve_inside(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        match _kind(reader):
            case "string" if _kind(writer) == "bytes":
                yield Incompatibility(path, "bytes that are no UTF-8 cannot be read as string")
            case "record" | "error":
                pair = (reader["name"], writer["name"])
                if pair not in self._seen:
                    self._seen.add(pair)
                    yield from self._resolve_fields(reader, writer, path)
            case "enum":
                yield from _resolve_symbols(reader, writer, path)
            case "fixed" if reader["size"] != writer["size"]:
                yield Incompatibility(
                    path, f"a fixed of {writer['size']} bytes cannot be read as {reader['size']} bytes"
                )
            case "array":
                yield from self.resolve(reader["items"], writer["items"], f"{path}[]")
            case "map":
                yield from self.resolve(reader["values"], writer["values"], f"{path}{{}}")

    def _resolve_fields(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        written = {field["name"]: field for field in writer["fields"]}
        claims: dict[str, list[str]] = {}
        for field in reader["fields"]:
            here = f"{path}.{field['name']}" if path else field["name"]
            sources = [name for name in dict.fromkeys([field["name"], *field.get("aliases", ())]) if name in written]
            for name in sources:
                claims.setdefault(name, []).append(field["name"])
            if len(sources) > 1:
                yield Incompatibility(here, f"its name and aliases match several written fields: {', '.join(sources)}")
            elif sources:
                yield from self.resolve(field["type"], written[sources[0]]["type"], here)
            elif "default" not in field:
                yield Incompatibility(here, "is not written and has no default")
        for name, fields in claims.items():
            if len(fields) > 1:
                yield Incompatibility(path, f"the written field {name} is claimed by several: {', '.join(fields)}")


def _inline(schema: Any, names: Mapping[str, Any]) -> Any:
    """A named type for its name, and what a needless wrapping holds: ``{"type": {"type": "array", ...}}``."""
    while isinstance(schema, dict) and isinstance(schema["type"], dict | list):
        schema = schema["type"]
    return names.get(schema, schema) if isinstance(schema, str) else schema


def _kind(schema: Any) -> str:
    """The Avro type's name; ``schema`` is a primitive's name or an object, never a union."""
    return str(schema["type"] if isinstance(schema, dict) else schema)


def _matches(reader: Any, writer: Any) -> bool:
    """Whether two types match before one looks inside; named types match by unqualified name or the reader's alias."""
    kinds = (_kind(writer), _kind(reader))
    if kinds[0] != kinds[1]:
        return kinds in _PROMOTIONS
    if not isinstance(reader, dict) or "name" not in reader:
        return True
    name = _unqualified(writer["name"])
    return name == _unqualified(reader["name"]) or name in map(_unqualified, reader.get("aliases", ()))


def _unqualified(name: str) -> str:
    return name.rpartition(".")[2]


def _resolve_symbols(reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
    unknown = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if unknown and "default" not in reader:
        yield Incompatibility(path, f"enum {reader['name']} lacks {', '.join(unknown)} and has no default symbol")


def _logical_types(reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
    read, written = (
        {key: schema[key] for key in _LOGICAL if key in schema} if isinstance(schema, dict) else {}
        for schema in (reader, writer)
    )
    if "logicalType" in read and "logicalType" in written and read != written:
        wrong = f"{_logical(written)} would be read as {_logical(read)}, which gives wrong values"
        yield Incompatibility(path, wrong, silent=True)


def _logical(attributes: Mapping[str, Any]) -> str:
    sizes = ", ".join(str(attributes[key]) for key in _LOGICAL[1:] if key in attributes)
    return f"{attributes['logicalType']}({sizes})" if sizes else str(attributes["logicalType"])


def _describe(schema: Any) -> str:
    kind = _kind(schema)
    return f"{kind} {schema['name']}" if isinstance(schema, dict) and "name" in schema else kind
