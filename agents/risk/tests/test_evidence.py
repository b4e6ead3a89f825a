"""Evidence: what a person is shown of how a decision came about."""

from __future__ import annotations

import asyncio
from typing import Any

from headgate_agent_risk.evidence import MOST, shown
from headgate_agent_risk.generator import generate
from headgate_schemas.agent import Decision, Evidence, GreyCase


def triaged(agent_with: Any, *events: Any) -> list[Decision | GreyCase]:
    agent, _ = agent_with()
    return list(agent.triage(list(events), [None] * len(events)))


def test_an_ordinary_event_has_none(agent_with: Any, event: Any) -> None:
    (result,) = triaged(agent_with, event())
    assert isinstance(result, Decision)
    assert result.evidence == ()


def test_rules_name_what_held_weightiest_first_and_what_they_looked_at(agent_with: Any, event: Any) -> None:
    (result,) = triaged(agent_with, event("login", device_id="bot-1", outcome="failure"))
    assert isinstance(result, Decision)
    rules = [found for found in result.evidence if found.source == "rule"]
    assert rules[0] == Evidence("rule", "login_failed_by_script", "0.75")
    assert [float(found.value) for found in rules] == sorted((float(found.value) for found in rules), reverse=True)
    assert Evidence("feature", "device", "automated") in result.evidence
    assert Evidence("feature", "login_failed", "true") in result.evidence


def test_events_of_the_same_rules_have_their_own_features(agent_with: Any, event: Any) -> None:
    results = triaged(agent_with, event(amount=9_000.0), event(amount=8_000.0))
    ratios = [{found.value for found in result.evidence if found.name == "amount_ratio"} for result in results]  # type: ignore[union-attr] - both are decided
    assert ratios == [{"250"}, {"222.22"}]


def test_fallback_and_model_carry_the_rules_evidence(agent_with: Any, grey: Any, call: Any) -> None:
    agent, _ = agent_with(call())
    case = grey()
    by_model = asyncio.run(agent.deliberate(case))
    assert agent.fall_back(case, "timeout").evidence == case.floor.evidence == by_model.evidence
    assert by_model.evidence


def test_a_raised_decision_says_by_what(agent_with: Any, grey: Any, call: Any) -> None:
    agent, _ = agent_with(call(), call(risk_score=0.9))
    floored, scored = (asyncio.run(agent.deliberate(case)) for case in (grey(country="KP"), grey()))
    assert floored.evidence[0] == Evidence("guard", "raised_by", "floor")
    assert scored.evidence[0] == Evidence("guard", "raised_by", "risk_score")


def test_evidence_is_short_and_names_nobody(agent_with: Any) -> None:
    events = [event for event, _ in generate(seed=5, events=5_000, start_ms=0, end_ms=86_400_000)]
    results = triaged(agent_with, *events)
    decisions = [result.floor if isinstance(result, GreyCase) else result for result in results]
    assert any(found.evidence for found in decisions)
    for event, decision in zip(events, decisions, strict=True):
        attributes = event["payload"]["attributes"]
        personal = {value for name in ("user_id", "device_id", "country", "note") if (value := attributes[name])}
        assert len(decision.evidence) <= MOST
        assert personal.isdisjoint(found.value for found in decision.evidence)


def test_values_are_shown_short() -> None:
    assert [shown(value) for value in (True, 3, 0.5, 40.0, 1e12, "x" * 99)] == [
        "true",
        "3",
        "0.5",
        "40",
        "1e+12",
        "x" * 40,
    ]
