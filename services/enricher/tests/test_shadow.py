"""Shadows: what their record says, what they read, whose budget they use, and what they must not be told to do."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from headgate_enricher.config import Settings
from headgate_enricher.gateway.spending import NOTHING_SPENT, Spent
from headgate_enricher.intake import DecidedIntake, Intake, PassedOverError, RefusedError
from headgate_enricher.roles import check_role
from headgate_enricher.routing import ANY, Decider, Routing
from headgate_enricher.shadow.divergence import Divergences
from headgate_enricher.shadow.metrics import ShadowMetrics
from headgate_enricher.shadow.purse import ShadowPurse
from headgate_enricher.topics import find_topics
from headgate_enricher.work import AgentFaultError
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import Record
from headgate_schemas import compile_rules
from headgate_schemas.agent import Decision, Usage
from headgate_schemas.records import parse_record

from .decided_events import CONTRACTS, DECIDED, RECORD, SOURCE, TRACEPARENT, decided, record_of, registry, work_of
from .scripted_models import CountingPurse

TOPIC = CONTRACTS.topic("decision-divergences")
WRITTEN = CONTRACTS.record(TOPIC.record)
ALLOW = Decision("allow", "harmless", 0.25, "low", 0.5, "fallback", fallback_reason="throttled", review="uncertain")
SPENT = Spent("amazon.nova-pro-v1:0", Usage(1, 100, 10), 33)


class Built:
    """A builder of divergences and its metrics."""

    def __init__(self, **changes: Any) -> None:
        self.metrics = Metrics()
        self.registry = registry()
        arguments: dict[str, Any] = {
            "decided": RECORD,
            "written": WRITTEN,
            "encoder": Encoder(self.registry, TOPIC.subject, WRITTEN),
            "check": compile_rules(TOPIC),
            "pipeline_version": "1.2.3",
            "metrics": ShadowMetrics(self.metrics),
        }
        self.divergences = Divergences(TOPIC, **arguments | changes)

    def counted(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"headgate_decisions_{name}_total", labels)


def test_a_record_holds_both_decisions_and_nothing_of_whom_the_event_is_about() -> None:
    event = decided("model_flag")
    built = Built()
    output = built.divergences.build(work_of(event), ALLOW, SPENT, now_ms=7)
    value = Decoder(built.registry, WRITTEN).decode(output.value)
    before = event["agent_metadata"]
    assert value["holding"] == {name: before[name] for name in value["holding"]}
    assert value["shadow"] == {
        "agent": "risk",
        "agent_version": "today",
        "decision": "allow",
        "risk_score": 0.25,
        "priority": "low",
        "confidence": 0.5,
        "tier": "fallback",
        "model_id": "amazon.nova-pro-v1:0",
        "cost_microdollars": 33,
        "fallback_reason": "throttled",
    }
    assert value["diverged"]
    assert value["risk_score_difference"] == 0.25 - before["risk_score"]
    assert value["processing_metadata"] == {
        "ingestion_time": 1_764_000_000_500,
        "processing_time": 7,
        "pipeline_version": "1.2.3",
        "source_topic": SOURCE.topic,
        "source_partition": SOURCE.partition,
        "source_offset": 17,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    for name in ("event_id", "event_type", "source_system", "event_timestamp"):
        assert value[name] == event[name]
    assert (output.topic, output.key) == (TOPIC.topic, event["event_id"].encode())
    assert output.headers == (("event-id", event["event_id"].encode()), TRACEPARENT)
    assert event["payload"]["attributes"]["user_id"].encode() not in (output.value or b"")


def test_comparisons_and_divergences_are_counted() -> None:
    built = Built()
    for example in ("model_flag", "rules_allow", "rules_flag"):
        built.divergences.build(work_of(decided(example)), ALLOW, NOTHING_SPENT, now_ms=7)
    assert built.counted("compared", agent="risk") == 3
    assert built.counted("diverged", agent="risk", holding="flag_high_risk", shadow="allow") == 2
    assert built.counted("diverged", agent="risk", holding="allow", shadow="allow") is None


def test_nobody_is_asked() -> None:
    output = Built().divergences.build(work_of(decided("rules_allow")), ALLOW, NOTHING_SPENT, now_ms=7)
    Built().divergences.ask(output, "uncertain", now_ms=7)


@pytest.mark.parametrize("wrong", [{"risk_score": 1.5}, {"risk_score": "high"}, {"priority": "urgent"}, {"tier": None}])
def test_a_decision_that_breaks_the_contract_is_the_agents_fault(wrong: dict[str, Any]) -> None:
    with pytest.raises(AgentFaultError, match="mend the agent"):
        Built().divergences.build(work_of(decided("rules_allow")), dataclasses.replace(ALLOW, **wrong), SPENT, now_ms=7)


@pytest.mark.parametrize("change", ["shadow", "other"])
def test_a_record_without_place_for_the_decisions_or_with_strangers_is_refused(change: str) -> None:
    fields = [{**field, "name": change} if field["name"] == "diverged" else field for field in WRITTEN.schema["fields"]]
    fields = [field for field in fields if field["name"] != "shadow"] if change == "shadow" else fields
    written = parse_record(WRITTEN.name, 2, {**WRITTEN.schema, "fields": fields})
    with pytest.raises(ConfigurationError, match=r"decision_divergence of topic decision-divergences must have"):
        Built(written=written)


def intake(*types: str, ends: dict[int, int] | None = None) -> DecidedIntake:
    agent = work_of(decided("rules_allow")).decider
    routing = Routing(dict.fromkeys(types, Decider(agent.agent, 0)), DECIDED.fields.type)
    return DecidedIntake(Intake(Decoder(registry(), RECORD), compile_rules(DECIDED)), routing, ends)


def test_a_decided_event_is_an_event_with_what_holds_beside_it() -> None:
    event = decided("model_flag")
    accepted, decider = intake(ANY).accept(record_of(event))
    own = [name for name in event if name != "agent_metadata"]
    assert {name: accepted[name] for name in own} == {name: event[name] for name in own}
    assert accepted["agent_metadata"]["decision"] == "flag_high_risk"
    assert decider.name == "risk"


def test_later_revisions_and_types_of_nobody_are_passed_over() -> None:
    with pytest.raises(PassedOverError):
        intake(ANY).accept(record_of(decided("human_override")))
    with pytest.raises(PassedOverError):
        intake("transaction").accept(record_of({**decided("rules_allow"), "event_type": "login"}))


def test_what_lies_behind_the_end_is_passed_over_unread() -> None:
    poison = Record(*SOURCE, 17, 0, b"k", b"poison")
    with pytest.raises(PassedOverError):
        intake(ANY, ends={SOURCE.partition: 17}).accept(poison)
    with pytest.raises(RefusedError):
        intake(ANY, ends={SOURCE.partition: 18}).accept(poison)


def test_its_calls_are_paid_from_accounts_of_its_own() -> None:
    purse = CountingPurse(100)
    reservation = asyncio.run(ShadowPurse(purse).reserve("risk", "web", 5, 60))
    assert asyncio.run(ShadowPurse(purse).reserve("risk", "", 5, 60))
    assert purse.reserved == [("risk.shadow", "web.shadow", 5, 60), ("risk.shadow", "", 5, 60)]
    assert reservation is not None
    reservation.settle(3, 30)
    assert purse.settled == {0: (3, 30)}


def test_it_reads_what_is_decided_and_writes_to_topics_of_its_own() -> None:
    topics = find_topics(Settings(role="shadow"), CONTRACTS)
    assert (topics.source.topic, topics.output.topic) == ("enriched-events", "decision-divergences")
    assert topics.dead_letters.topic == "decision-divergences.dlq"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"role": "shadow"}, "name a group of its own"),
        ({"role": "replay", "group_id": "mine"}, "run `headgate replay`"),
        (
            {"role": "shadow", "group_id": "mine", "canary": {"agent": "a", "of": "b", "percent": 1}},
            "A shadow has no CANARY",
        ),
        (
            {
                "role": "shadow",
                "group_id": "mine",
                "budget": {"limits": [{"scope": "agent", "window": "day", "tokens": 1}]},
            },
            "limit <agent>.shadow there",
        ),
    ],
)
def test_settings_that_would_harm_the_agents_that_decide_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        check_role(Settings.model_validate(settings))


def test_settings_that_go_with_the_role_are_taken() -> None:
    check_role(Settings())
    check_role(Settings(role="shadow", group_id="mine"))
