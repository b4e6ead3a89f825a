from __future__ import annotations

import math
from typing import Any

import pytest
from headgate_schemas import Contracts, TopicContract, Violation, class_of, compile_rules, field_getter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RAW_EVENTS = compile_rules(Contracts.load().topic("raw-events"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab0é", max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["attributes", "a"]), inner),
    max_leaves=5,
)


def topic_with(*rules: dict[str, Any]) -> TopicContract:
    return TopicContract.model_validate(
        {
            "topic": "readings",
            "description": "Readings.",
            "owner": "plant",
            "record": "reading",
            "compatibility": "FULL_TRANSITIVE",
            "partitions": 1,
            "retention_ms": -1,
            "cleanup_policy": "delete",
            "fields": {"key": None},
            "producers": [],
            "consumers": [],
            "rules": [{"name": f"rule_{n}", **rule} for n, rule in enumerate(rules)],
        }
    )


def first_broken(rule: dict[str, Any], event: dict[str, Any]) -> Violation | None:
    return compile_rules(topic_with(rule))(event)


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return Contracts.load()


@pytest.fixture
def event(contracts: Contracts) -> dict[str, Any]:
    return contracts.examples("base_event")["transaction_large"]


@pytest.mark.parametrize(
    ("rule", "passing", "breaking"),
    [
        ({"minimum": 0}, [0, 0.0, 3, 1e300, None], [-1, -0.5, math.nan, math.inf, -math.inf, "3", True, [], {}]),
        ({"maximum": 9.5}, [9.5, -3, None], [9.6, 10**400, -math.inf, math.nan, "1"]),
        ({"minimum": 1, "maximum": 3}, [1, 2.5, 3], [0, 4]),
        ({"min_length": 2}, ["ab", b"ab", [1, 2], {"a": 1, "b": 2}, None], ["a", "", b"", 12, 1.0, True]),
        ({"max_length": 2}, ["", "ab", []], ["abc", [1, 2, 3], 1]),
        ({"one_of": ["a", "b"]}, ["a", None], ["c", "A", "", 1, True, ["a"], {"a": 1}]),
        ({"one_of": [1, 2]}, [1, 2], [3, "1", 1.5, False]),
        ({"pattern": "[A-Z]{2}"}, ["DE", None], ["D", "DEU", "de", "DE\n", b"DE", 12]),
        ({"required": True}, ["", 0, False, []], [None]),
    ],
)
def test_each_form_passes_and_breaks(rule: dict[str, Any], passing: list[Any], breaking: list[Any]) -> None:
    check = compile_rules(topic_with({"field": "value", **rule}))
    assert [value for value in passing if check({"value": value}) is not None] == []
    assert [value for value in breaking if check({"value": value}) is None] == []


def test_an_absent_field_breaks_only_required() -> None:
    assert first_broken({"field": "a.b", "minimum": 0, "min_length": 1, "pattern": "x"}, {}) is None
    violation = first_broken({"field": "a.b", "required": True}, {"a": None})
    assert violation == Violation("a.b", "rule_0", "a.b is required; it is null (rule rule_0)")


def test_a_rule_with_a_condition_applies_only_where_it_holds() -> None:
    rule = {"field": "amount", "required": True, "when": {"field": "kind", "equals": "sale"}}
    assert first_broken(rule, {"kind": "visit"}) is None
    assert first_broken(rule, {}) is None
    violation = first_broken(rule, {"kind": "sale"})
    assert violation is not None
    assert violation.message == "amount is required where kind is sale; it is null (rule rule_0)"


def test_the_first_broken_rule_in_the_contracts_order_is_named() -> None:
    check = compile_rules(topic_with({"field": "b", "minimum": 0}, {"field": "a", "minimum": 0}))
    violation = check({"a": -1, "b": -1})
    assert violation is not None
    assert violation.rule == "rule_0"


def test_a_violation_names_the_class_of_the_value_and_never_the_value(
    contracts: Contracts, event: dict[str, Any]
) -> None:
    event["payload"]["attributes"]["note"] = "4929-secret " * 400
    violation = compile_rules(contracts.topic("raw-events"))(event)
    assert violation == Violation(
        field="payload.attributes.note",
        rule="note_not_too_long",
        message="payload.attributes.note must have a length at most 2000; it is a text of 4800 characters "
        "(rule note_not_too_long)",
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "a boolean"),
        (-0.5, "a negative number"),
        (7, "a number"),
        (math.nan, "not a finite number"),
        ("x" * 203, "a text of 203 characters"),
        (b"abc", "a value of 3 bytes"),
        ([1], "an array of 1 items"),
        ({}, "an object of 0 entries"),
        (object(), "of another type"),
    ],
)
def test_a_value_is_told_by_its_class_alone(value: Any, words: str) -> None:
    assert class_of(value) == words


def test_quarantine_needs_a_place_for_what_breaks_a_rule() -> None:
    contract = topic_with({"field": "a", "minimum": 0}).model_dump() | {"on_violation": "quarantine"}
    with pytest.raises(ValueError, match="quarantine needs dead_letters"):
        TopicContract.model_validate(contract)
    assert TopicContract.model_validate(contract | {"dead_letters": "readings.dlq"}).on_violation == "quarantine"


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("event_id", "", "event_id_present"),
        ("event_type", "refund", "event_type_known"),
        ("source_system", "x" * 65, "source_system_present"),
        ("event_timestamp", 1_764_000_000, "event_timestamp_plausible"),
        ("payload.attributes.user_id", "", "user_id_present"),
        ("payload.attributes.amount", -0.01, "amount_not_negative"),
        ("payload.attributes.amount", math.nan, "amount_not_negative"),
        ("payload.attributes.amount", None, "transaction_has_amount"),
        ("payload.attributes.currency", "eur", "currency_iso_4217"),
        ("payload.attributes.currency", "XXX", "currency_iso_4217"),
        ("payload.attributes.currency", None, "transaction_has_currency"),
        ("payload.attributes.outcome", "maybe", "outcome_known"),
        ("payload.attributes.country", "DEU", "country_alpha_2"),
    ],
)
def test_raw_events_rules_refuse_what_they_name(
    contracts: Contracts, event: dict[str, Any], path: str, value: Any, rule: str
) -> None:
    check = compile_rules(contracts.topic("raw-events"))
    assert check(event) is None
    *parents, leaf = path.split(".")
    target = event
    for part in parents:
        target = target[part]
    target[leaf] = value
    violation = check(event)
    assert violation is not None
    assert (violation.rule, violation.field) == (rule, path)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(event=st.dictionaries(st.sampled_from(["event_id", "event_type", "event_timestamp", "payload"]), JSON))
def test_any_mapping_is_checked_without_a_fault(event: dict[str, Any]) -> None:
    result = RAW_EVENTS(event)
    assert result is None or result.rule


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    path=st.lists(st.sampled_from("ab"), min_size=1, max_size=5),
    event=st.recursive(st.none() | st.integers(), lambda inner: st.dictionaries(st.sampled_from("ab"), inner)),
)
def test_a_getter_gives_what_following_the_path_gives(path: list[str], event: Any) -> None:
    expected = event
    for part in path:
        expected = expected.get(part) if isinstance(expected, dict) else None
    root = event if isinstance(event, dict) else {}
    assert field_getter(".".join(path))(root) == expected


@pytest.mark.parametrize("path", ["", "a.", ".a", "a..b"])
def test_a_path_with_an_empty_part_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="empty part"):
        field_getter(path)
