"""Rules on columns find the rows that the reference check finds, whatever type, value and rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from fastavro.schema import expand_schema
from headgate_schemas import ContractError, TopicContract, compile_rules
from headgate_writer.column_rules import ColumnRules
from headgate_writer.columnar import plain_schema
from headgate_writer.schema import decoded_schema
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from .decoders import contract_of, record_of
from .random_avro import values_of

if TYPE_CHECKING:
    from headgate_schemas import RecordSchema

INNER = {
    "type": "record",
    "name": "inner",
    "fields": [{"name": "text", "type": "string"}, {"name": "count", "type": ["null", "long"]}],
}
READING = record_of(
    {"name": "text", "type": ["null", "string"]},
    {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["A", "ab", "b0"]}},
    {"name": "small", "type": "int"},
    {"name": "large", "type": ["null", "long"]},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
    {"name": "single", "type": "float"},
    {"name": "double", "type": ["null", "double"]},
    {"name": "sound", "type": ["null", "boolean"]},
    {"name": "raw", "type": "bytes"},
    {"name": "digest", "type": ["null", {"type": "fixed", "name": "digest", "size": 2}]},
    {"name": "list", "type": ["null", {"type": "array", "items": "string"}]},
    {"name": "tags", "type": {"type": "map", "values": "long"}},
    {"name": "inner", "type": INNER},
    {"name": "maybe", "type": ["null", "inner"]},
)
PATHS = [
    *(field["name"] for field in READING.schema["fields"]),
    *("inner.text", "inner.count", "maybe.text", "maybe.count", "tags.a", "nowhere", "text.part", "list.part"),
]
FEW = {
    "text": st.none() | st.text("abAB01é\n", max_size=3),
    "small": st.integers(-3, 3),
    "large": st.none() | st.sampled_from([0, 1, 2, 2**53, 2**53 + 1, -(2**63), 2**63 - 1]),
    "single": st.sampled_from([0.0, -0.0, 0.5, 1.0, 2.0, 1e30, float("nan"), float("inf"), float("-inf")]),
    "double": st.none() | st.sampled_from([0.0, 1.0, 2.5, 2.0**53, 1e300, float("nan"), float("inf"), float("-inf")]),
    "tags": st.dictionaries(st.sampled_from("ab"), st.integers(0, 2), max_size=2),
}
NUMBERS = st.integers(-3, 3) | st.sampled_from(
    [0.5, -0.5, 2**53 + 1, 10**30, 1e300, float("inf"), float("-inf"), float("nan"), -(2**63), 2**63]
)
SCALARS = st.sampled_from(["", "a", "A", "ab", "b0", "é", 0, 1, 2, 2**53, 2**53 + 1, 2**70])
PATTERNS = st.sampled_from(
    ["a*", "[a-z]{1,2}", "(?:a|b)+0?", "a.b", r"\w+", r"\d", "^a$", "(?i)ab", "[^a]", "é", "a{,2}", "a*+", "(a|)b", ""]
)


def rows_of(record: RecordSchema, values: list[dict[str, Any]]) -> pa.RecordBatch:
    schema = plain_schema(decoded_schema(record))
    struct = pa.array(values, pa.struct(list(schema)))
    return pa.RecordBatch.from_struct_array(struct).cast(schema)


def constraints() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "required": st.sampled_from([True]),
            "minimum": NUMBERS,
            "maximum": NUMBERS,
            "min_length": st.integers(0, 3) | st.just(10**30),
            "max_length": st.integers(0, 3),
            "one_of": st.lists(SCALARS, min_size=1, max_size=3),
            "pattern": PATTERNS,
            "when": st.fixed_dictionaries(
                {"field": st.sampled_from(PATHS), "equals": SCALARS | st.booleans()},
            ),
        },
    )


@st.composite
def contracts(draw: st.DrawFn) -> TopicContract:
    rules = st.builds(lambda path, said: {"field": path, **said}, st.sampled_from(PATHS), constraints())
    drawn = draw(st.lists(rules.filter(_is_a_rule), min_size=1, max_size=3))
    return contract_of(*drawn)


def _is_a_rule(rule: dict[str, Any]) -> bool:
    try:
        contract_of(rule)
    except (ValidationError, ContractError):
        return False
    return True


@given(
    contracts(), st.lists(st.tuples(values_of(expand_schema(READING.schema)), st.fixed_dictionaries(FEW)), max_size=6)
)
def test_columns_break_a_rule_where_the_reference_says_so(
    contract: TopicContract, drawn: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    values = [{**value, **few} for value, few in drawn]
    rules = ColumnRules(contract, plain_schema(decoded_schema(READING)))
    masks = [mask.to_pylist() for mask in rules.broken(rows_of(READING, values))]
    for rule, mask in zip(contract.rules, masks, strict=True):
        check = compile_rules(contract, only=lambda each, rule=rule: each.name == rule.name)
        assert mask == [check(value) is not None for value in values]


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("[A-Z]{2}", ["DE"], ["de", "DEU", "DE\n", "", "xDE"]),
        (r"\w+", ["aé"], ["-", ""]),
        ("a|bc", ["a", "bc"], ["abc", "ac", "b"]),
    ],
)
def test_a_pattern_matches_the_whole_text_as_in_python(pattern: str, matching: list[str], others: list[str]) -> None:
    record = record_of({"name": "text", "type": "string"})
    rules = ColumnRules(contract_of({"field": "text", "pattern": pattern}), decoded_schema(record))
    (broken,) = rules.broken(rows_of(record, [{"text": text} for text in (*matching, *others)]))
    assert broken.to_pylist() == [False] * len(matching) + [True] * len(others)
