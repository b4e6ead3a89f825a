from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import fastavro
import pytest
from headgate_producer.conformity import compile_conformity
from headgate_producer.writing import DeclinedError, compile_writer
from headgate_schemas.records import parse_record
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from headgate_schemas import RecordSchema

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "string"},
    {"name": "small", "type": "int"},
    {"name": "large", "type": ["null", "long"], "default": None},
    {"name": "flag", "type": ["boolean", "null"]},
    {"name": "ratio", "type": ["float", "null"]},
    {"name": "inner", "type": {"type": "record", "name": "inner", "fields": [{"name": "x", "type": "double"}]}},
]


def plain(*fields: dict[str, Any]) -> RecordSchema:
    return parse_record("plain", 1, {"type": "record", "name": "plain", "fields": [*FIELDS, *fields]})


events = st.fixed_dictionaries(
    {
        "id": st.text(max_size=400),
        "small": st.integers(-(2**31), 2**31 - 1),
        "flag": st.none() | st.booleans(),
        "ratio": st.none() | st.floats(width=32) | st.integers(-1000, 1000),
        "inner": st.fixed_dictionaries({"x": st.floats() | st.integers(-1000, 1000)}),
    },
    optional={"large": st.none() | st.integers(-(2**63), 2**63 - 1)},
)


@given(events)
def test_what_is_written_is_what_fastavro_writes(event: dict[str, Any]) -> None:
    record = plain()
    write = compile_writer(record)
    stream = BytesIO()
    fastavro.schemaless_writer(stream, record.raw, event)

    assert write is not None
    assert write(event) == stream.getvalue()


anything = (
    st.none()
    | st.booleans()
    | st.integers(-(2**66), 2**66)
    | st.floats()
    | st.text(st.characters(), max_size=3)
    | st.lists(st.none(), max_size=1)
    | st.dictionaries(st.sampled_from(["x", "y"]), st.floats() | st.text(max_size=1))
)


@given(events, st.dictionaries(st.sampled_from(["id", "small", "large", "flag", "ratio", "inner", "y"]), anything))
def test_what_the_schema_does_not_take_is_never_written(event: dict[str, Any], change: dict[str, Any]) -> None:
    record, changed = plain(), {**event, **change}
    write = compile_writer(record)
    assert write is not None
    if compile_conformity(record)(changed) is not None:
        with pytest.raises(DeclinedError):
            write(changed)


@pytest.mark.parametrize("value", [None, 5, "text", [], {}, {"id": "a"}])
def test_what_is_no_whole_record_is_declined(value: object) -> None:
    write = compile_writer(plain())

    assert write is not None
    with pytest.raises(DeclinedError):
        write(value)


@pytest.mark.parametrize(
    "field",
    [
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "either", "type": ["null", "string", "long"], "default": None},
        {"name": "defaulted", "type": "int", "default": 7},
        {"name": "maybe", "type": ["null", {"type": "record", "name": "m", "fields": []}], "default": None},
    ],
)
def test_a_record_that_is_not_plain_has_no_writer(field: dict[str, Any]) -> None:
    assert compile_writer(plain(field)) is None


def test_the_events_record_has_a_writer(record: RecordSchema) -> None:
    assert compile_writer(record) is not None
