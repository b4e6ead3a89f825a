"""Output records: the copied bytes are those of the full encoder, and nothing that breaks the contract gets out."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from headgate_enricher.enrichment import Enrichment
from headgate_enricher.gateway.spending import NOTHING_SPENT, Spent
from headgate_enricher.review_requests import ReviewRequests
from headgate_enricher.routing import Decider
from headgate_enricher.work import AgentFaultError, Work
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import Record
from headgate_runtime.testing import MemoryRegistry
from headgate_schemas import Contracts, RecordSchema, compile_rules, field_getter
from headgate_schemas.agent import Decision, Evidence, Usage
from headgate_schemas.records import parse_record

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTRACTS = Contracts.load()
INPUT, OUTPUT, REVIEWS = (CONTRACTS.topic(name) for name in ("raw-events", "enriched-events", "decision-reviews"))
READ_AS, WRITE_AS, ASK_AS = (CONTRACTS.record(topic.record) for topic in (INPUT, OUTPUT, REVIEWS))
SPENT = Spent("amazon.nova-micro-v1:0", Usage(2, 1000, 100), 49)
RULES = Decision("allow", "nothing speaks against it", 0.1, "low", 0.9, "rules")
SEEN = (Evidence("rule", "probing_page", "0.86"), Evidence("tool", "account_history.events", "3"))
MODEL = Decision(
    "flag_high_risk", "it looks odd", 0.8, "high", 0.7, "model", "f" * 64, Usage(2, 900, 90), evidence=SEEN
)
FALLBACK = dataclasses.replace(RULES, tier="fallback", fallback_reason="throttled")
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def examples() -> Iterator[dict[str, Any]]:
    for path in sorted((CONTRACTS.directory / "examples" / READ_AS.name).glob("*.json")):
        yield json.loads(path.read_text("utf-8"))


def registry() -> MemoryRegistry:
    registry = MemoryRegistry()
    for topic, record in ((INPUT, READ_AS), (OUTPUT, WRITE_AS), (REVIEWS, ASK_AS)):
        registry.register(topic.subject, record.text)
    return registry


def enrichment(registry: MemoryRegistry, *, same_frame: bytes, write_as: RecordSchema = WRITE_AS) -> Enrichment:
    return Enrichment(
        contract=OUTPUT,
        read_as=READ_AS,
        write_as=write_as,
        encoder=Encoder(registry, OUTPUT.subject, WRITE_AS),
        same_frame=same_frame,
        event_id=field_getter("event_id"),
        pipeline_version="1.2.3",
        requests=requests(registry),
    )


def requests(registry: MemoryRegistry, *, asked: RecordSchema = ASK_AS) -> ReviewRequests:
    return ReviewRequests(
        topic=REVIEWS.topic,
        decided=WRITE_AS,
        asked=asked,
        prefix=Encoder(registry, REVIEWS.subject, ASK_AS).prefix,
        check=compile_rules(REVIEWS),
    )


def record_of(encoder: Encoder, event: dict[str, Any]) -> Record:
    return Record("raw-events", 3, 41, 1_760_000_000_000, b"key", encoder.encode(event), (("traceparent", TRACE),))


@dataclass
class Named:
    """An agent, as far as records are concerned."""

    name: str = "risk"
    version: str = "abc"


def work(record: Record, event: dict[str, Any]) -> Work:
    return Work(cast("Any", None), record, event, 0.0, Decider(cast("Any", Named()), 0))


@pytest.mark.parametrize("decision", [RULES, MODEL, FALLBACK])
@pytest.mark.parametrize("event", list(examples()))
def test_copied_bytes_are_those_of_the_full_encoder(event: dict[str, Any], decision: Decision) -> None:
    known = registry()
    source = Encoder(known, INPUT.subject, READ_AS)
    record = record_of(source, event)
    decoded = Decoder(known, READ_AS).decode(record.value)
    copied = enrichment(known, same_frame=source.prefix).build(work(record, decoded), decision, SPENT, now_ms=7)
    encoded = enrichment(known, same_frame=b"other").build(work(record, decoded), decision, SPENT, now_ms=7)
    assert copied == encoded
    written = Decoder(known, WRITE_AS).decode(copied.value)
    assert {name: written[name] for name in decoded} == decoded


def test_an_output_of_another_shape_is_encoded_in_full() -> None:
    known = registry()
    source = Encoder(known, INPUT.subject, READ_AS)
    *base, agent, processing = WRITE_AS.schema["fields"]
    shuffled = parse_record(WRITE_AS.name, 2, {**WRITE_AS.schema, "fields": [agent, *base, processing]})
    record = record_of(source, next(examples()))
    event = Decoder(known, READ_AS).decode(record.value)
    built = enrichment(known, same_frame=source.prefix, write_as=shuffled).build(
        work(record, event), RULES, NOTHING_SPENT, now_ms=7
    )
    assert Decoder(known, WRITE_AS).decode(built.value)["agent_metadata"]["tier"] == "rules"


def test_the_record_says_who_decided_from_what_and_for_how_much() -> None:
    known = registry()
    source = Encoder(known, INPUT.subject, READ_AS)
    record = record_of(source, next(examples()))
    event = Decoder(known, READ_AS).decode(record.value)
    built = enrichment(known, same_frame=source.prefix).build(work(record, event), MODEL, SPENT, now_ms=7)
    written = Decoder(known, WRITE_AS).decode(built.value)
    assert written["agent_metadata"] == {
        "decision": "flag_high_risk",
        "decision_reason": "it looks odd",
        "risk_score": 0.8,
        "priority": "high",
        "confidence": 0.7,
        "agent": "risk",
        "agent_version": "abc",
        "revision": 0,
        "tier": "model",
        "model_id": "amazon.nova-micro-v1:0",
        "prompt_hash": "f" * 64,
        "model_calls": 2,
        "input_tokens": 1000,
        "output_tokens": 100,
        "cost_microdollars": 49,
        "fallback_reason": None,
        "evidence": [
            {"source": "rule", "name": "probing_page", "value": "0.86"},
            {"source": "tool", "name": "account_history.events", "value": "3"},
        ],
        "session": None,
    }
    assert written["processing_metadata"] == {
        "ingestion_time": 1_760_000_000_000,
        "processing_time": 7,
        "pipeline_version": "1.2.3",
        "source_topic": "raw-events",
        "source_partition": 3,
        "source_offset": 41,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    assert built.key == b"key"
    assert dict(built.headers) == {"traceparent": TRACE, "event-id": event["event_id"].encode()}


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"risk_score": 1.5}, "risk_score_in_range"),
        ({"risk_score": float("nan")}, "risk_score_in_range"),
        ({"priority": "urgent"}, "priority_known"),
        ({"decision": None}, None),
        ({"confidence": "high"}, None),
        ({"evidence": (Evidence("rule", "probing_page", None),)}, None),  # type: ignore[arg-type] - what is tested
    ],
)
@pytest.mark.parametrize("same", [True, False])
def test_a_decision_that_breaks_the_contract_is_the_agents_fault(
    wrong: dict[str, Any], rule: str | None, *, same: bool
) -> None:
    known = registry()
    source = Encoder(known, INPUT.subject, READ_AS)
    record = record_of(source, next(examples()))
    event = Decoder(known, READ_AS).decode(record.value)
    build = enrichment(known, same_frame=source.prefix if same else b"other").build
    with pytest.raises(AgentFaultError, match="mend the agent") as fault:
        build(work(record, event), dataclasses.replace(RULES, **wrong), NOTHING_SPENT, now_ms=7)
    assert fault.value.rule == rule


def test_an_output_without_a_place_for_the_decision_stops_the_start() -> None:
    known = registry()
    with pytest.raises(ConfigurationError, match="agent_metadata"):
        enrichment(known, same_frame=b"", write_as=READ_AS)


def test_decisions_that_say_the_same_are_written_alike_and_others_apart() -> None:
    known = registry()
    source = Encoder(known, INPUT.subject, READ_AS)
    made = enrichment(known, same_frame=source.prefix)
    record = record_of(source, next(examples()))
    done = work(record, Decoder(known, READ_AS).decode(record.value))
    by_another = dataclasses.replace(done, decider=Decider(cast("Any", Named(name="session")), 1))
    odd = dataclasses.replace(RULES, evidence=cast("Any", []))

    def metadata(by: Work, decision: Decision) -> dict[str, Any]:
        built = made.build(by, decision, NOTHING_SPENT, now_ms=7)
        decoded: dict[str, Any] = Decoder(known, WRITE_AS).decode(built.value)["agent_metadata"]
        return decoded

    first = metadata(done, RULES)
    assert first == metadata(done, dataclasses.replace(RULES)) == metadata(done, odd)
    assert metadata(by_another, RULES) == first | {"agent": "session"}
    assert metadata(done, dataclasses.replace(RULES, fields={"session": SESSION})) == first | {"session": SESSION}
    assert metadata(done, dataclasses.replace(RULES, risk_score=0.2)) == first | {"risk_score": 0.2}


SESSION = {"intent": "automate", "started_at": 1_760_000_000_000, "events": 9}


def build_with(fields: dict[str, Any], *, same: bool) -> dict[str, Any]:
    known = registry()
    source = Encoder(known, INPUT.subject, READ_AS)
    record = record_of(source, next(examples()))
    done = work(record, Decoder(known, READ_AS).decode(record.value))
    decision = dataclasses.replace(RULES, fields=fields)
    built = enrichment(known, same_frame=source.prefix if same else b"other").build(
        done, decision, NOTHING_SPENT, now_ms=7
    )
    metadata: dict[str, Any] = Decoder(known, WRITE_AS).decode(built.value)["agent_metadata"]
    return metadata


@pytest.mark.parametrize("same", [True, False])
def test_what_an_agent_adds_stands_beside_the_decision(*, same: bool) -> None:
    metadata = build_with({"session": SESSION}, same=same)
    assert (metadata["session"], metadata["decision"]) == (SESSION, "allow")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"mood": "good"}, "mood"),
        ({"session": {**SESSION, "mood": "good"}}, "session.mood"),
        ({"agent": "somebody else"}, "agent"),
        ({"cost_microdollars": 0, "session": {"mood": 1}}, "cost_microdollars, session.mood"),
    ],
)
def test_a_field_the_contract_does_not_have_for_an_agent_is_its_fault_and_named(
    fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(AgentFaultError, match=f"has the fields {named}, which agent_metadata of") as fault:
        build_with(fields, same=True)
    assert fault.value.field == f"agent_metadata.{named.split(',', maxsplit=1)[0]}"


@pytest.mark.parametrize("wrong", [{"intent": 5}, {"intent": None}, {"started_at": "today"}])
@pytest.mark.parametrize("same", [True, False])
def test_a_field_of_another_type_is_the_agents_fault(wrong: dict[str, Any], *, same: bool) -> None:
    with pytest.raises(AgentFaultError, match="mend the agent"):
        build_with({"session": {**SESSION, **wrong}}, same=same)


@pytest.mark.parametrize("event", list(examples()))
def test_a_person_is_asked_about_the_whole_decided_event(event: dict[str, Any]) -> None:
    known = registry()
    source = Encoder(known, INPUT.subject, READ_AS)
    record = record_of(source, event)
    build = enrichment(known, same_frame=source.prefix)
    output = build.build(work(record, Decoder(known, READ_AS).decode(record.value)), MODEL, SPENT, now_ms=7)
    asked = build.ask(output, "high_value", now_ms=8)
    decided = Decoder(known, WRITE_AS).decode(output.value)
    review = {"review": {"reason": "high_value", "requested_at": 8}}
    assert Decoder(known, ASK_AS).decode(asked.value) == decided | review
    assert asked.value == Encoder(known, REVIEWS.subject, ASK_AS).encode(decided | review)
    assert (asked.topic, asked.key, asked.headers) == (REVIEWS.topic, output.key, output.headers)


@pytest.mark.parametrize("reason", ["", "Because it is odd.", "a" * 65, 3])
def test_a_reason_that_is_no_code_is_the_agents_fault(reason: Any) -> None:
    known = registry()
    source = Encoder(known, INPUT.subject, READ_AS)
    record = record_of(source, next(examples()))
    build = enrichment(known, same_frame=source.prefix)
    output = build.build(work(record, Decoder(known, READ_AS).decode(record.value)), MODEL, SPENT, now_ms=7)
    with pytest.raises(AgentFaultError, match="mend the agent") as fault:
        build.ask(output, reason, now_ms=8)
    assert (fault.value.field, fault.value.rule) == ("review.reason", "review_reason_is_a_code")


def test_a_review_that_does_not_hold_the_decided_event_stops_the_start() -> None:
    first, *rest = ASK_AS.schema["fields"]
    for fields in ([*rest, first], [first, *rest, first | {"name": "more"}]):
        other = parse_record(ASK_AS.name, 2, {**ASK_AS.schema, "fields": fields})
        with pytest.raises(ConfigurationError, match="must have the fields of agent_enriched_event, and then 'review'"):
            requests(registry(), asked=other)
