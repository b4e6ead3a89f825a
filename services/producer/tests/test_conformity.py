from __future__ import annotations

import math
from io import BytesIO
from types import MappingProxyType
from typing import Any

import fastavro
import pytest
from headgate_producer.conformity import Check, compile_conformity
from headgate_schemas.records import parse_record
from hypothesis import given
from hypothesis import strategies as st

WIDE = parse_record(
    "wide",
    1,
    {
        "type": "record",
        "name": "wide",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "small", "type": "int", "default": 7},
            {"name": "large", "type": ["null", "long"], "default": None},
            {"name": "flag", "type": "boolean", "default": False},
            {"name": "ratio", "type": ["null", "float"]},
            {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
            {
                "name": "inner",
                "type": ["null", {"type": "record", "name": "inner", "fields": [{"name": "x", "type": "double"}]}],
                "default": None,
            },
        ],
    },
)


@pytest.fixture(scope="module")
def check() -> Check:
    return compile_conformity(WIDE)


@pytest.mark.parametrize(
    ("change", "field", "rule", "says"),
    [
        ({"id": 5}, "id", "schema_type", "a number"),
        ({"id": None}, "id", "schema_type", "null"),
        ({"small": True}, "small", "schema_type", "a boolean"),
        ({"small": 1.5}, "small", "schema_type", "a number"),
        ({"small": 2**31}, "small", "schema_range", "within the range of int"),
        ({"large": -(2**63) - 1}, "large", "schema_range", "within the range of long"),
        ({"flag": 0}, "flag", "schema_type", "a number"),
        ({"ratio": "0.5"}, "ratio", "schema_type", "a text"),
        ({"inner": []}, "inner", "schema_type", "an array"),
        ({"inner": {}}, "inner.x", "schema_missing", "is required by wide.v1; it is null"),
        ({"inner": {"x": 1.0, "y": 2}}, "inner.y", "schema_unknown_field", "leave it out"),
        ({"other": 1}, "other", "schema_unknown_field", "no field other"),
    ],
)
def test_the_first_misfit_is_named(check: Check, change: dict[str, Any], field: str, rule: str, says: str) -> None:
    violation = check({"id": "a", "ratio": None, **change})

    assert violation is not None
    assert (violation.field, violation.rule) == (field, rule)
    assert says in violation.message


def test_a_required_field_may_not_be_left_out(check: Check) -> None:
    violation = check({"id": "a"})

    assert violation is not None
    assert (violation.field, violation.rule) == ("ratio", "schema_missing")


@pytest.mark.parametrize("value", [None, 3, "text", ["list"]])
def test_what_is_no_object_is_refused(check: Check, value: object) -> None:
    violation = check(value)

    assert violation is not None
    assert violation.rule == "schema_type"


@pytest.mark.parametrize(
    "event",
    [
        {"id": "a", "ratio": None},
        {"id": "a", "ratio": math.nan, "small": -(2**31), "large": 2**63 - 1, "flag": True},
        {"id": "a", "ratio": 1, "tags": ["x"], "inner": {"x": 2}},
        MappingProxyType({"id": "a", "ratio": 0.5}),
    ],
)
def test_what_the_schema_takes_passes(check: Check, event: object) -> None:
    assert check(event) is None


def test_the_message_never_holds_the_value(check: Check) -> None:
    violation = check({"id": "a", "ratio": "secret"})

    assert violation is not None
    assert "secret" not in violation.message


valid = st.fixed_dictionaries(
    {"id": st.text(max_size=5), "ratio": st.none() | st.floats(width=32) | st.integers(-1000, 1000)},
    optional={
        "small": st.integers(-(2**31), 2**31 - 1),
        "large": st.none() | st.integers(-(2**63), 2**63 - 1),
        "flag": st.booleans(),
        "tags": st.lists(st.text(max_size=3), max_size=2),
        "inner": st.none() | st.fixed_dictionaries({"x": st.floats() | st.integers(-1000, 1000)}),
    },
)


@given(valid)
def test_what_passes_is_read_back_as_it_was_written(event: dict[str, Any]) -> None:
    assert compile_conformity(WIDE)(event) is None
    stream = BytesIO()
    fastavro.schemaless_writer(stream, WIDE.raw, event)
    stream.seek(0)
    read: Any = fastavro.schemaless_reader(stream, WIDE.raw, None)
    for name, value in event.items():
        assert repr(read[name]) == repr(value) or read[name] == value


@given(valid, st.sampled_from(["id", "small", "flag", "ratio", "inner"]), st.binary() | st.lists(st.none()))
def test_a_value_of_another_class_never_passes(event: dict[str, Any], field: str, value: object) -> None:
    violation = compile_conformity(WIDE)({**event, field: value})

    assert violation is not None
    assert (violation.field, violation.rule) == (field, "schema_type")
