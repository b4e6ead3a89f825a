"""What a record's Avro schema says of its fields, in a form that checks, mappings and the HTTP documentation can walk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PRIMITIVES = frozenset({"boolean", "int", "long", "float", "double", "string"})


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field that holds one primitive value.

    Attributes:
        kind: Avro primitive, such as ``long``.
        logical: Avro logical type, such as ``timestamp-millis``; None where the field has none.
        nullable: Null is a value it takes.
        optional: It may be left out, for it has a default.
        doc: What the schema says of it.
        null_first: Null is the first branch of its union.
    """

    kind: str
    logical: str | None
    nullable: bool
    optional: bool
    doc: str
    null_first: bool = False


@dataclass(frozen=True, slots=True)
class Branch:
    """A field that holds a record; also the record itself."""

    fields: Mapping[str, Node]
    nullable: bool = False
    optional: bool = False
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A field of any other type (array, map, enum, bytes, a wider union); ``schema`` is its Avro schema."""

    schema: Any
    nullable: bool
    optional: bool
    doc: str


Node = Leaf | Branch | Opaque


def shape_of(schema: Mapping[str, Any]) -> Branch:
    """Describe a record schema (Avro, as parsed JSON)."""
    return Branch(_fields(schema), doc=schema.get("doc", ""))


def leaves(branch: Branch, prefix: str = "") -> Iterator[tuple[str, Leaf]]:
    """Every primitive field with its dotted path, in the schema's order."""
    for name, node in branch.fields.items():
        if isinstance(node, Leaf):
            yield prefix + name, node
        elif isinstance(node, Branch):
            yield from leaves(node, f"{prefix}{name}.")


def _fields(schema: Mapping[str, Any]) -> dict[str, Node]:
    return {field["name"]: _node(field) for field in schema["fields"]}


def _node(field: Mapping[str, Any]) -> Node:
    declared = field["type"]
    kinds = declared if isinstance(declared, list) else [declared]
    nullable = "null" in kinds
    optional = "default" in field
    doc = field.get("doc", "")
    values = [kind for kind in kinds if kind != "null"]
    if len(values) != 1:
        return Opaque(declared, nullable, optional, doc)
    kind = values[0]
    detail = kind if isinstance(kind, dict) else {"type": kind}
    if detail["type"] == "record":
        return Branch(_fields(detail), nullable, optional, doc)
    if isinstance(detail["type"], str) and detail["type"] in PRIMITIVES:
        return Leaf(detail["type"], detail.get("logicalType"), nullable, optional, doc, null_first=kinds[0] == "null")
    return Opaque(declared, nullable, optional, doc)
