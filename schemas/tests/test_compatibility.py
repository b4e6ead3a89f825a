"""The checker is held against fastavro: what it calls compatible is readable, what it refuses does break."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.read import SchemaResolutionError
from fastavro.schema import SchemaParseException
from fastavro.utils import generate_many
from headgate_schemas import incompatibilities
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st


def record(*fields: dict[str, Any], name: str = "r", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: str, avro_type: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": avro_type, **more}


def enum(*symbols: str, name: str = "e", **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": list(symbols), **more}


def fixed(size: int, name: str = "f", **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size, **more}


def read_as(reader: Any, writer: Any, value: Any) -> Any:
    data = BytesIO()
    schemaless_writer(data, writer, value)
    size = data.tell()
    data.seek(0)
    result = schemaless_reader(data, writer, reader)
    assert data.tell() == size, "the reader left bytes behind"
    return result


LINKED = record(field("value", "int"), field("next", ["null", "node"], default=None), name="node")
LINKED_WIDE = record(field("value", "long"), field("next", ["null", "node"], default=None), name="node")
LINKED_TEXT = record(field("value", "string"), field("next", ["null", "node"], default=None), name="node")


@pytest.mark.parametrize(
    ("reader", "writer", "value", "read"),
    [
        ("long", "int", 3, 3),
        ("double", "long", 3, 3.0),
        ("bytes", "string", "é", "é".encode()),
        (["null", "int"], "int", 3, 3),
        ("int", ["int"], 3, 3),
        (["string", "double"], ["int", "string"], 3, 3.0),
        (record(field("a", "int")), record(field("b", "string"), field("a", "int")), {"a": 1, "b": "x"}, {"a": 1}),
        (record(field("a", "int", default=7)), record(), {}, {"a": 7}),
        (record(field("a", "int", aliases=["old"])), record(field("old", "int")), {"old": 1}, {"a": 1}),
        (record(name="new", aliases=["old"]), record(name="old"), {}, {}),
        (record(name="b.same"), record(name="a.same"), {}, {}),
        (enum("A", "B"), enum("A"), "A", "A"),
        (enum("A", default="A"), enum("A", "B"), "B", "A"),
        (fixed(2, name="new", aliases=["f"]), fixed(2), b"ab", b"ab"),
        ({"type": "array", "items": "long"}, {"type": "array", "items": "int"}, [1], [1]),
        ({"type": "map", "values": ["null", "string"]}, {"type": "map", "values": "string"}, {"a": "b"}, {"a": "b"}),
        (
            LINKED_WIDE,
            LINKED,
            {"value": 1, "next": {"value": 2, "next": None}},
            {"value": 1, "next": {"value": 2, "next": None}},
        ),
    ],
)
def test_what_the_specification_resolves_is_compatible(reader: Any, writer: Any, value: Any, read: Any) -> None:
    assert incompatibilities(reader, writer) == []
    assert read_as(reader, writer, value) == read


@pytest.mark.parametrize(
    ("reader", "writer", "value", "message"),
    [
        ("int", "long", 1, "long cannot be read as int"),
        ("string", "bytes", b"\xff", "bytes that are no UTF-8 cannot be read as string"),
        ("int", ["null", "int"], None, "null cannot be read as int"),
        (["null", "string"], "int", 1, "int cannot be read as any of: null, string"),
        (record(field("a", "int")), record(), {}, "a: is not written and has no default"),
        (record(field("a", "int")), record(field("a", "string")), {"a": ""}, "a: string cannot be read as int"),
        (record(name="x"), record(name="y"), {}, "record y cannot be read as record x"),
        (enum("A"), enum("A", "B"), "B", "enum e lacks B and has no default symbol"),
        (enum("A", name="x"), enum("A", name="y"), "A", "enum y cannot be read as enum x"),
        (fixed(2), fixed(3), b"abc", "a fixed of 3 bytes cannot be read as 2 bytes"),
        ({"type": "array", "items": "int"}, {"type": "array", "items": "long"}, [1], "[]: long cannot be read as int"),
        (
            {"type": "map", "values": "int"},
            {"type": "map", "values": "null"},
            {"": None},
            "{}: null cannot be read as int",
        ),
        ({"type": "map", "values": "int"}, {"type": "array", "items": "int"}, [1], "array cannot be read as map"),
        (LINKED_TEXT, LINKED, {"value": 1, "next": None}, "value: int cannot be read as string"),
        (
            record(
                field(
                    "a", record(field("b", {"type": "array", "items": record(field("c", "int"), name="z")}), name="y")
                )
            ),
            record(field("a", record(field("b", {"type": "array", "items": record(name="z")}), name="y"))),
            {"a": {"b": [{}]}},
            "a.b[].c: is not written and has no default",
        ),
    ],
)
def test_what_breaks_is_named_with_its_path(reader: Any, writer: Any, value: Any, message: str) -> None:
    assert [str(problem) for problem in incompatibilities(reader, writer)] == [message]
    with pytest.raises((SchemaResolutionError, UnicodeDecodeError)):
        read_as(reader, writer, value)


PRIMITIVE_VALUES: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "int": 1,
    "long": 1 << 40,
    "float": 0.5,
    "double": 0.25,
    "string": "x",
    "bytes": b"\xff",
}


@pytest.mark.parametrize("writer", PRIMITIVE_VALUES)
@pytest.mark.parametrize("reader", PRIMITIVE_VALUES)
def test_each_pair_of_primitives_is_judged_as_it_is_read(reader: str, writer: str) -> None:
    problems = incompatibilities(reader, writer)
    if problems:
        with pytest.raises((SchemaResolutionError, UnicodeDecodeError)):
            read_as(reader, writer, PRIMITIVE_VALUES[writer])
    else:
        read_as(reader, writer, PRIMITIVE_VALUES[writer])


PRIMITIVES = list(PRIMITIVE_VALUES)
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}


@pytest.mark.parametrize(
    ("reader", "writer", "message"),
    [
        (MICROS, MILLIS, "timestamp-millis would be read as timestamp-micros, which gives wrong values"),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3},
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            "decimal(9, 2) would be read as decimal(9, 3), which gives wrong values",
        ),
        (
            record(field("a", "int", aliases=["b"])),
            record(field("a", "int"), field("b", "int")),
            "a: its name and aliases match several written fields: a, b",
        ),
        (
            record(field("a", "int"), field("b", "int", aliases=["a"])),
            record(field("a", "int")),
            "the written field a is claimed by several: a, b",
        ),
    ],
)
def test_what_would_be_read_wrongly_is_refused(reader: Any, writer: Any, message: str) -> None:
    assert [str(problem) for problem in incompatibilities(reader, writer)] == [message]


def test_a_logical_type_may_be_added_to_a_bare_type() -> None:
    assert incompatibilities(MILLIS, "long") == []
    assert incompatibilities("long", MILLIS) == []


@st.composite
def avro_types(draw: st.DrawFn, depth: int, names: list[str]) -> Any:
    """An Avro type; names of records, enums and fixed types are unique in a schema and few between schemas."""
    kinds = ["primitive"] if depth == 0 else ["primitive", "record", "enum", "fixed", "array", "map", "union"]
    kind = draw(st.sampled_from(kinds))
    if kind in {"record", "enum", "fixed"}:
        free = [name for name in ("n1", "n2", "n3", "n4", "n5") if name not in names]
        if not free:
            return "int"
        name = draw(st.sampled_from(free))
        names.append(name)
        aliases = draw(st.lists(st.sampled_from(["n1", "n2", "n9"]), max_size=1))
        named = {"name": name, **({"aliases": aliases} if aliases else {})}
        return draw(_named(kind, named, depth, names))
    if kind == "array":
        return {"type": "array", "items": draw(avro_types(depth - 1, names))}
    if kind == "map":
        return {"type": "map", "values": draw(avro_types(depth - 1, names))}
    if kind == "union":
        branches: list[Any] = draw(st.lists(st.sampled_from(PRIMITIVES), min_size=1, max_size=4, unique=True))
        inner = draw(avro_types(depth - 1, names))
        return branches + ([inner] if isinstance(inner, dict) else [])
    return draw(st.sampled_from(PRIMITIVES))


@st.composite
def _named(draw: st.DrawFn, kind: str, named: dict[str, Any], depth: int, names: list[str]) -> Any:
    if kind == "enum":
        symbols = draw(st.lists(st.sampled_from("ABC"), min_size=1, unique=True))
        default = {"default": symbols[0]} if draw(st.booleans()) else {}
        return {"type": "enum", **named, "symbols": symbols, **default}
    if kind == "fixed":
        return {"type": "fixed", **named, "size": draw(st.integers(1, 2))}
    fields = draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True))
    return {"type": "record", **named, "fields": [draw(_fields(name, depth - 1, names)) for name in fields]}


@st.composite
def _fields(draw: st.DrawFn, name: str, depth: int, names: list[str]) -> dict[str, Any]:
    aliases = draw(st.lists(st.sampled_from(["a", "b", "z"]).filter(lambda alias: alias != name), max_size=1))
    more: dict[str, Any] = {"aliases": aliases} if aliases else {}
    if draw(st.booleans()):
        return {"name": name, "type": draw(st.sampled_from(["int", "long", "double"])), "default": 0, **more}
    return {"name": name, "type": draw(avro_types(depth, names)), **more}


@st.composite
def evolutions(draw: st.DrawFn, schema: Any) -> Any:
    """A reader near a writer: parts kept, widened, made optional, dropped or changed; often compatible, not always."""
    if isinstance(schema, list):
        more = [branch for branch in ("null", "string", "double") if branch not in schema and draw(st.booleans())]
        return draw(st.permutations([*schema, *more]))
    if isinstance(schema, str):
        wider = {"int": ["long", "double"], "long": ["float"], "string": ["bytes"], "bytes": ["string"]}.get(schema, [])
        optional = [["null", schema]] if schema != "null" else []
        return draw(st.sampled_from([schema, schema, schema, *wider, *optional, draw(st.sampled_from(PRIMITIVES))]))
    changed = dict(schema)
    for part in ("items", "values"):
        if part in changed:
            changed[part] = draw(evolutions(changed[part]))
    if "fields" in changed:
        kept = [each for each in changed["fields"] if draw(st.integers(0, 5)) > 0]
        changed["fields"] = [
            {key: value for key, value in each.items() if key != "default"} | {"type": draw(evolutions(each["type"]))}
            for each in kept
        ]
        changed["fields"] += draw(st.sampled_from([[], [field("new", "string", default="x")], [field("new", "int")]]))
    if "symbols" in changed:
        changed["symbols"] = draw(
            st.sampled_from([changed["symbols"], [*changed["symbols"], "D"], changed["symbols"][:1]])
        )
    if "size" in changed:
        changed["size"] = draw(st.sampled_from([changed["size"]] * 3 + [3]))
    return changed


def parsed(schema: Any) -> Any:
    try:
        return parse_schema(schema)
    except SchemaParseException:
        return reject()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data())
def test_whatever_is_called_compatible_is_readable(data: st.DataObject) -> None:
    writer = data.draw(avro_types(3, []), label="writer")
    near = data.draw(st.integers(0, 9)) > 0
    reader = data.draw(evolutions(writer) if near else avro_types(3, []), label="reader")
    parsed(writer)
    parsed(reader)
    problems = incompatibilities(reader, writer)
    event("compatible" if not problems else "incompatible")
    if not problems:
        for value in generate_many(writer, 5):
            read_as(reader, writer, value)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_data_may_become_optional_but_not_the_other_way_round(data: st.DataObject) -> None:
    schema = parsed(data.draw(avro_types(3, [])))
    if incompatibilities(schema, schema) or isinstance(schema, list) or schema == "null":
        reject()  # a union may hold no union; aliases that claim another's field make a schema that cannot read itself
    assert incompatibilities(["null", schema], schema) == []
    assert incompatibilities(schema, ["null", schema]) != []
