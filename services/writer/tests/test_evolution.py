"""Newer versions of a record: what reads the old and the new, and what nothing reads."""

from __future__ import annotations

import copy
import json
from io import BytesIO
from typing import Any

import pytest
from fastavro import schemaless_reader, schemaless_writer
from headgate_schemas import Contracts, RecordSchema, incompatibilities, strip_logical_types
from headgate_schemas.records import parse_record
from headgate_writer.errors import NotStorableError
from headgate_writer.evolution import merged_record
from headgate_writer.schema import decoded_schema
from hypothesis import given
from hypothesis import strategies as st

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
INNER = {"type": "record", "name": "inner", "fields": [{"name": "x", "type": "int"}]}


def schema_of(*fields: dict[str, Any], name: str = "reading") -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": "a", "fields": list(fields)}


def field(name: str, kind: Any, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **attributes}


def record_of(*fields: dict[str, Any]) -> RecordSchema:
    return parse_record("reading", 1, schema_of(*fields))


def read(value: dict[str, Any], written: dict[str, Any], reader: RecordSchema) -> Any:
    stream = BytesIO()
    schemaless_writer(stream, strip_logical_types(written), value)
    stream.seek(0)
    return schemaless_reader(stream, strip_logical_types(written), reader.raw)


V1 = record_of(
    field("id", "string"),
    field("level", "int"),
    field("share", "float"),
    field("at", MILLIS),
    field("place", ["null", INNER], default=None),
    field("also", ["null", "inner"], default=None),
    field("kind", {"type": "enum", "name": "kind", "symbols": ["A"]}),
    field("tags", {"type": "array", "items": "string"}),
)


def changed(name: str, /, **attributes: Any) -> dict[str, Any]:
    """V1 with one field changed; None takes it out."""
    schema = copy.deepcopy(V1.schema)
    schema["fields"] = [
        {**each, **attributes} if each["name"] == name else each
        for each in schema["fields"]
        if each["name"] != name or attributes
    ]
    return schema


def added(*fields: dict[str, Any]) -> dict[str, Any]:
    return {**copy.deepcopy(V1.schema), "fields": [*copy.deepcopy(V1.schema["fields"]), *fields]}


def types(record: RecordSchema) -> dict[str, Any]:
    return {each["name"]: each["type"] for each in record.schema["fields"]}


@pytest.mark.parametrize("record", Contracts.load().records)
def test_a_schema_that_is_known_changes_nothing(record: str) -> None:
    for version in Contracts.load().versions(record):
        assert merged_record(version, version.schema) is version


def test_a_schema_with_fewer_optional_fields_changes_nothing() -> None:
    assert merged_record(V1, changed("also")) is V1
    reader = record_of(field("id", "string"), field("note", ["null", "string"], default=None))
    assert merged_record(reader, schema_of(field("id", "string"))) is reader


@pytest.mark.parametrize(
    "new",
    [
        field("extra", ["null", "long"], default=None),
        field("extra", ["long", "null"], default=7),
        field("extra", ["null", "long"]),
        field("extra", "long", default=7, pii="quasi", aliases=["id"]),
    ],
)
def test_a_new_field_is_null_wherever_it_was_not_written(new: dict[str, Any]) -> None:
    written = added(new)
    merged = merged_record(V1, written)
    assert types(merged)["extra"] == ["null", "long"]
    assert list(types(merged)) == [*types(V1), "extra"]
    assert merged.pii == ({"extra": "quasi"} if "pii" in new else {})
    value = {"id": "a", "level": 1, "share": 0.5, "at": 5, "kind": "A", "tags": []}
    assert read(value, V1.schema, merged)["extra"] is None
    assert read({**value, "extra": 3}, written, merged)["extra"] == 3
    assert decoded_schema(merged).field("extra").nullable


def test_fields_come_inside_nested_records_and_named_types_stay_one() -> None:
    wider = {**INNER, "fields": [*INNER["fields"], field("y", ["null", INNER | {"name": "deep"}], default=None)]}  # type: ignore[misc]  # JSON
    written = changed("place", type=["null", wider])
    written["fields"].append(field("more", {"type": "array", "items": "inner"}, default=[]))
    merged = merged_record(V1, written)
    assert merged.field_type("place.y.x") == "int"
    assert merged.field_type("also.y.x") == "int"
    assert merged_record(merged, written) is merged
    assert merged_record(merged, V1.schema) is merged
    value = {"id": "a", "level": 1, "share": 0.5, "at": 5, "kind": "A", "tags": [], "place": {"x": 1}}
    assert read(value, V1.schema, merged)["place"] == {"x": 1, "y": None}


@pytest.mark.parametrize(
    ("name", "kind", "merged"),
    [
        ("level", "long", "long"),
        ("share", "double", "double"),
        ("id", ["null", "string"], ["null", "string"]),
        ("tags", {"type": "array", "items": ["null", "string"]}, {"type": "array", "items": ["null", "string"]}),
        (
            "kind",
            {"type": "enum", "name": "kind", "symbols": ["B", "A"]},
            {"type": "enum", "name": "a.kind", "symbols": ["A", "B"]},
        ),
    ],
)
def test_a_type_gives_way_to_one_that_holds_both(name: str, kind: Any, merged: Any) -> None:
    written = changed(name, type=kind)
    wider = merged_record(V1, written)
    assert types(wider)[name] == merged
    assert merged_record(wider, V1.schema) is wider
    assert merged_record(wider, written) is wider


def test_a_field_that_is_renamed_with_an_alias_stays_in_its_column() -> None:
    written = changed("id", name="reading_id", aliases=["id"])
    merged = merged_record(V1, written)
    assert list(types(merged)) == list(types(V1))
    value = {"reading_id": "a", "level": 1, "share": 0.5, "at": 5, "kind": "A", "tags": []}
    assert read(value, written, merged)["id"] == "a"
    assert merged_record(merged, written) is merged


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        (changed("level", type="string"), "field level is string, and its column holds int"),
        (changed("level", type="double"), "field level is double, and its column holds int"),
        (changed("share", type="int"), "field share is int, and its column holds float"),
        (changed("at", type="long"), "field at is long, and its column holds long timestamp-millis"),
        (changed("at", type={"type": "long", "logicalType": "timestamp-micros"}), "timestamp-micros"),
        (changed("id", type="bytes"), "field id is bytes, and its column holds string"),
        (changed("id", type=["null", "string", "long"]), "field id is a union of 2 types"),
        (changed("id", name="reading_id"), "field reading_id is new, has to be there and has no default: give it one"),
        (changed("level"), "level: is not written and has no default"),
        (added(field("extra", "long")), "field extra is new, has to be there and has no default"),
        (added(field("extra", ["null", "string", "long"], default=None)), "field extra is a union of 2 types"),
        (added(field("ID", "string", default="")), "id would differ from another column by upper and lower case"),
        (added(field("_offset", "long", default=0)), "_offset names a column the writer adds"),
        (
            added(field("cost", ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9}], default=None)),
            "field cost: logical type decimal",
        ),
        (
            added(field("tree", ["null", {**INNER, "name": "tree", "fields": [field("t", ["null", "tree"])]}])),
            "contains itself",
        ),
        (json.loads(V1.text.replace("inner", "other")), "place is record a.other, not record a.inner"),
        ({**V1.schema, "name": "other"}, "it is record a.other, not record a.reading"),
        ({"type": "string"}, "it is no record schema that can be read"),
        ({"type": "record", "name": "reading", "fields": [{"name": "x", "type": "nothing"}]}, "no record schema"),
    ],
)
def test_what_no_record_reads_or_no_table_holds_is_refused_with_the_reason(
    written: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(NotStorableError) as caught:
        merged_record(V1, written)
    assert complaint in str(caught.value)


PRIMITIVES = st.sampled_from(["int", "long", "float", "double", "string", "boolean", "bytes"])
KINDS = st.recursive(
    PRIMITIVES,
    lambda inner: st.one_of(
        inner.map(lambda kind: {"type": "array", "items": kind}),
        inner.map(lambda kind: ["null", kind] if not isinstance(kind, list) else kind),
        inner.map(lambda kind: {"type": "map", "values": kind}),
    ),
    max_leaves=3,
)
FIELDS = st.dictionaries(st.sampled_from("abcdef"), st.tuples(KINDS, st.booleans()), min_size=1, max_size=5)


def version(fields: dict[str, tuple[Any, bool]]) -> dict[str, Any]:
    def nullable(kind: Any) -> Any:
        return kind if isinstance(kind, list) else ["null", kind]

    flat = [
        field(name, nullable(kind), default=None) if optional else field(name, kind)
        for name, (kind, optional) in sorted(fields.items())
    ]
    nested = {"type": "record", "name": "inner", "fields": copy.deepcopy(flat)}
    return schema_of(*flat, field("nested", ["null", nested], default=None))


@given(FIELDS, FIELDS, FIELDS)
def test_a_merge_reads_whatever_it_was_made_of_and_never_loses_a_field(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> None:
    reader = parse_record("reading", 1, version(first))
    met = [reader.schema]
    for written in (version(second), version(third)):
        before = reader
        try:
            reader = merged_record(before, written)
        except NotStorableError:
            continue
        met.append(written)
        assert list(types(reader))[: len(types(before))] == list(types(before))
        columns = decoded_schema(reader)
        for older in met:
            assert incompatibilities(reader.schema, older) == []
            assert merged_record(reader, older) is reader
            assert set(columns.names) >= {each["name"] for each in older["fields"]}
