from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from headgate_bedrock_local.schema_example import example
from headgate_bedrock_local.schema_rules import check_answer_schema
from headgate_bedrock_local.wire import ServiceError
from hypothesis import given
from hypothesis import strategies as st

bounds = st.integers(-50, 50)
strings = st.builds(
    lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
    st.integers(0, 40),
    st.integers(0, 40),
)
numbers = st.builds(
    lambda kind, low, more: {"type": kind, low[0]: low[1], "maximum": low[1] + more},
    st.sampled_from(["integer", "number"]),
    st.tuples(st.sampled_from(["minimum", "exclusiveMinimum"]), bounds),
    st.integers(1, 50),
)
multiples = st.builds(lambda low: {"type": "integer", "minimum": low, "multipleOf": 7}, bounds)
one_sided = st.builds(lambda high: {"type": "number", "exclusiveMaximum": high}, bounds)
patterns = st.sampled_from(["^[A-Z]{3}$", r"^\d{4}-\d{2}$", "^(allow|deny)$"]).map(
    lambda pattern: {"type": "string", "pattern": pattern}
)
leaves = st.one_of(
    strings,
    numbers,
    multiples,
    one_sided,
    patterns,
    st.sampled_from([{"enum": ["a", 1]}, {"const": None}, {"type": "boolean"}, {"type": ["null", "string"]}, True, {}]),
    st.just({"$ref": "#/$defs/leaf"}),
)


def objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["amount", "minimum", "when", "$odd", "a/b"])
    return st.one_of(
        st.builds(
            lambda properties: {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            },
            st.dictionaries(names, children, max_size=4),
        ),
        st.builds(
            lambda items, least: {"type": "array", "items": items, "minItems": least}, children, st.integers(0, 3)
        ),
        st.builds(lambda first, other: {"anyOf": [first, other]}, children, children),
        st.builds(lambda part: {"allOf": [part], "title": "All"}, children),
    )


@given(st.recursive(leaves, objects, max_leaves=12))
def test_an_example_conforms_and_is_always_the_same(schema: Any) -> None:
    whole = {
        "type": "object",
        "properties": {"value": schema},
        "required": ["value"],
        "$defs": {"leaf": {"type": "integer", "minimum": 3}},
    }
    instance = example(whole)
    jsonschema.validate(instance, whole)
    assert example(whole) == instance


def test_a_recursive_schema_ends() -> None:
    schema = {
        "$ref": "#/$defs/node",
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
    }
    jsonschema.validate(example(schema), schema)


def strict(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


@pytest.mark.parametrize(
    "schema",
    [
        strict({"minimum": {"type": "integer"}, "oneOf": {"type": "string"}}),
        strict({"tags": {"type": "array", "items": {"type": "string"}, "minItems": 1}}),
        strict({"a": {"anyOf": [{"type": "string", "enum": ["minimum"]}, {"type": "null"}]}}),
    ],
)
def test_keywords_as_property_names_and_values_are_fine(schema: dict[str, Any]) -> None:
    check_answer_schema(schema)


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        (strict({"a": {"type": "array", "items": {"type": "string", "maxLength": 3}}}), "$.properties.a.items"),
        (strict({"a": {"anyOf": [{"type": "null"}, {"type": "object"}]}}), "$.properties.a.anyOf[1]"),
        ({**strict({}), "$defs": {"x": {"type": "number", "minimum": 0}}}, "$.$defs.x"),
        (strict({"a": {"type": "array", "minItems": 2}}), "$.properties.a"),
        (strict({"a": {"$ref": "https://example.com/x"}}), "$.properties.a"),
    ],
)
def test_what_structured_output_does_not_take_is_named_with_its_place(schema: dict[str, Any], where: str) -> None:
    with pytest.raises(ServiceError, match=r"not supported|must be|may") as caught:
        check_answer_schema(schema)
    assert f"at {where}," in caught.value.message
