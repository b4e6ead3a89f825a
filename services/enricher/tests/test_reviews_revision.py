"""Later records: the event as it was, the person's decision, no name, and nothing that breaks a contract."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from headgate_enricher.intake import RefusedError
from headgate_enricher.reviews.revision import Reviser, Target
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import OutgoingRecord, Record
from headgate_runtime.testing import MemoryRegistry
from headgate_schemas import Contracts, compile_rules, field_getter

CONTRACTS = Contracts.load()
SOURCE, OUTPUT, RAW = (CONTRACTS.topic(name) for name in ("review-outcomes", "enriched-events", "raw-events"))
ANSWERED, DECIDED, BASE = (CONTRACTS.record(topic.record) for topic in (SOURCE, OUTPUT, RAW))
OVERRIDE, APPROVE = (CONTRACTS.examples(ANSWERED.name)[name] for name in ("override", "approve"))
REGISTRY = MemoryRegistry()
REGISTRY.register(OUTPUT.subject, DECIDED.text)
REGISTRY.register(RAW.subject, BASE.text)
FRAME_BYTES = 5


def reviser(*, max_bytes: int = 1_000_000) -> Reviser:
    target = Target(
        OUTPUT.topic, DECIDED, Encoder(REGISTRY, OUTPUT.subject, DECIDED).encode, compile_rules(OUTPUT), max_bytes
    )
    return Reviser(target, ANSWERED, event_id=field_getter("event_id"), pipeline_version="1.2.3")


def record(*headers: tuple[str, bytes | None]) -> Record:
    return Record(SOURCE.topic, 3, 117, 0, b"customer-1", b"", headers)


def build(value: dict[str, Any], revision: int = 1) -> OutgoingRecord:
    return reviser().build(record(), value, revision, now_ms=9)


def later(value: dict[str, Any], revision: int = 1) -> dict[str, Any]:
    return Decoder(REGISTRY, DECIDED).decode(build(value, revision).value)


def answered(outcome: dict[str, Any], value: dict[str, Any] = OVERRIDE) -> dict[str, Any]:
    return {**value, "outcome": value["outcome"] | outcome}


@pytest.mark.parametrize("value", [OVERRIDE, APPROVE])
def test_the_event_is_as_it_was_byte_for_byte(value: dict[str, Any]) -> None:
    event = {field["name"]: value[field["name"]] for field in BASE.raw["fields"]}
    as_it_was = Encoder(REGISTRY, RAW.subject, BASE).encode(event)[FRAME_BYTES:]
    made = build(value).value or b""
    assert made[FRAME_BYTES : FRAME_BYTES + len(as_it_was)] == as_it_was


def test_an_override_is_the_persons_decision_and_costs_nothing() -> None:
    reviewed = OVERRIDE["agent_metadata"]
    decided = later(OVERRIDE, revision=2)["agent_metadata"]
    assert reviewed["decision"] == "flag_high_risk"
    assert {name: decided[name] for name in decided if name != "evidence"} == {
        "decision": "allow",
        "decision_reason": "The customer confirmed the purchase by telephone.",
        "session": None,
        "risk_score": reviewed["risk_score"],
        "priority": "low",
        "confidence": 1.0,
        "agent": reviewed["agent"],
        "agent_version": reviewed["agent_version"],
        "revision": 2,
        "tier": "human",
        "model_id": None,
        "prompt_hash": None,
        "model_calls": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_microdollars": 0,
        "fallback_reason": None,
    }


def test_an_approval_keeps_decision_and_priority() -> None:
    decided = later(APPROVE)["agent_metadata"]
    for name in ("decision", "priority", "risk_score"):
        assert decided[name] == APPROVE["agent_metadata"][name]
    assert (decided["tier"], decided["revision"]) == ("human", 1)


def test_evidence_is_kept_and_says_what_was_reviewed_and_where_the_person_stands() -> None:
    evidence = later(OVERRIDE)["agent_metadata"]["evidence"]
    assert {found["name"]: found["value"] for found in evidence if found["source"] == "review"} == {
        "action": "override",
        "asked_for": "uncertain",
        "reviewed_decision": "flag_high_risk",
        "reviewed_tier": "model",
        "outcome": "review-outcomes/3/117",
    }
    assert [found for found in evidence if found["source"] != "review"] == OVERRIDE["agent_metadata"]["evidence"]


def test_the_way_is_the_events_own_and_the_time_that_of_the_join() -> None:
    way = OVERRIDE["processing_metadata"]
    assert later(OVERRIDE)["processing_metadata"] == way | {"processing_time": 9, "pipeline_version": "1.2.3"}


def test_nobody_is_named_in_the_later_record() -> None:
    person = OVERRIDE["outcome"]["reviewer"]
    customer = OVERRIDE["payload"]["attributes"]["user_id"]
    comment = f"{person} called\n {customer.upper()} in US; trust us."
    value = answered({"comment": comment}, copy.deepcopy(OVERRIDE))
    value["payload"]["attributes"]["country"] = "US"
    assert later(value)["agent_metadata"]["decision_reason"] == "[id] called [id] in [id]; trust us."
    assert person.encode() not in (build(value).value or b"")


def test_key_trace_and_id_go_on() -> None:
    trace = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    made = reviser().build(record(trace, ("reviewer", b"x")), OVERRIDE, 1, now_ms=9)
    assert dict(made.headers) == {"event-id": OVERRIDE["event_id"].encode(), "traceparent": trace[1]}
    assert (made.topic, made.key, made.partition) == (OUTPUT.topic, b"customer-1", None)


def test_an_approval_of_another_decision_is_refused() -> None:
    with pytest.raises(RefusedError, match="write the action override") as refusal:
        build(answered({"action": "approve"}))
    assert (refusal.value.cause, refusal.value.field) == ("contract_violation", "outcome.decision")
    assert refusal.value.rule == "approval_keeps_decision"


def test_a_later_record_that_breaks_its_topics_rules_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"agent_metadata\.priority must be one of") as refusal:
        build(answered({"priority": "urgent"}))
    assert refusal.value.rule == "priority_known"


def test_a_later_record_that_no_broker_would_take_is_refused() -> None:
    with pytest.raises(RefusedError, match="larger than 300 bytes") as refusal:
        reviser(max_bytes=300).build(record(), OVERRIDE, 1, now_ms=9)
    assert refusal.value.cause == "too_large"


def test_an_outcome_that_does_not_hold_the_decided_event_stops_the_start() -> None:
    target = Target(OUTPUT.topic, ANSWERED, lambda _: b"", compile_rules(OUTPUT), 1)
    with pytest.raises(ConfigurationError, match="must start with the fields of review_outcome"):
        Reviser(target, DECIDED, event_id=field_getter("event_id"), pipeline_version="1")
