"""The stand-in answers as a model would: valid, deterministic, led by the features."""

from __future__ import annotations

import asyncio
import json
import re
from importlib.metadata import entry_points
from typing import Any

import pytest
from headgate_agent_risk.generator import generate
from headgate_agent_risk.standin import EXTERNAL, look_up_first, record_decision
from headgate_agent_risk.tools import RecordDecision, tool_schema
from headgate_schemas.agent import GreyCase

SCHEMA = tool_schema()["function"]["parameters"]


@pytest.mark.parametrize(
    ("features", "decision"),
    [
        ({}, "allow"),
        ({"score": 0.35, "signals": "amount_above_typical", "device": "present", "country_risk": "normal"}, "allow"),
        ({"score": 0.35, "signals": "amount_above_typical", "device": "absent", "country_risk": "unknown"}, "allow"),
        (
            {"score": 0.6, "signals": "amount_above_typical,cash_like_merchant", "merchant_class": "cash_like"},
            "flag_high_risk",
        ),
        ({"score": 0.5, "signals": "text_instructs", "country_risk": "normal"}, "flag_high_risk"),
        ({"score": 0.5, "signals": "login_by_script", "device": "automated"}, "flag_high_risk"),
    ],
)
def test_decides_by_features(features: dict[str, Any], decision: str) -> None:
    answer = record_decision(features, SCHEMA)
    assert answer["decision"] == decision
    assert answer == record_decision(features, SCHEMA)
    assert (answer["risk_score"] >= 0.5) == (decision == "flag_high_risk")


def test_answers_only_fields_the_schema_names() -> None:
    assert record_decision({}, {"properties": {"decision": {}}}) == {"decision": "allow"}


def test_every_grey_event_gets_a_valid_answer(agent_with: Any) -> None:
    agent, _ = agent_with()
    events = [event for event, _ in generate(seed=3, events=5_000, start_ms=0, end_ms=86_400_000)]
    cases = [result for result in agent.triage(events, [None] * len(events)) if isinstance(result, GreyCase)]
    answers = [RecordDecision.model_validate(dict(record_decision(case.features, SCHEMA))) for case in cases]
    assert {answer.decision for answer in answers} == {"allow", "flag_high_risk"}


def test_it_reads_what_the_agent_fences(agent_with: Any, grey: Any, call: Any) -> None:
    agent, model = agent_with(call())
    asyncio.run(agent.deliberate(grey()))
    fenced = re.search(r"<event[^>]*>(.*)</event", str(model.asked[0][1].content))
    assert fenced
    assert record_decision(json.loads(fenced.group(1)), SCHEMA)["decision"] == "allow"


def test_it_is_found_by_the_name_of_the_tool() -> None:
    (found,) = entry_points(group="headgate.local_policies", name=tool_schema()["function"]["name"])
    assert found.load() is record_decision


UNSURE = {
    "event_type": "transaction",
    "score": 0.35,
    "signals": "amount_above_typical,cash_like_merchant",
    "merchant_class": "cash_like",
    "merchant": "Gift Card Shop",
    "currency": "USD",
    "amount_ratio": 4.0,
}


def test_it_looks_up_where_the_balance_could_tip_and_only_once(context: Any) -> None:
    calls = look_up_first(UNSURE, {})
    assert calls.keys() == {EXTERNAL, *context.policy.tools}
    assert calls[EXTERNAL] == {"name": UNSURE["merchant"]}
    assert calls["currency_reference"] == {"currency": "USD"}
    assert look_up_first(UNSURE, {"account_history": None}) == {}
    assert look_up_first({**UNSURE, "score": 0.05}, {}) == {}
    assert look_up_first({**UNSURE, "event_type": "login"}, {}).keys() == {"account_history"}


@pytest.mark.parametrize(
    ("results", "decision"),
    [
        ({}, "flag_high_risk"),
        ({"account_history": {"payments": 9, "usual_ratio": 3.8}}, "allow"),
        ({"account_history": {"payments": 9, "usual_ratio": 0.5}}, "flag_high_risk"),
        ({"account_history": None, "merchant_reference": {"risk": "high"}}, "flag_high_risk"),
    ],
)
def test_what_tools_say_tips_the_balance(results: dict[str, Any], decision: str) -> None:
    assert record_decision({**UNSURE, "tool_results": results}, SCHEMA)["decision"] == decision


def test_look_ups_are_found_by_the_name_of_the_tool() -> None:
    (found,) = entry_points(group="headgate.local_preparations", name=tool_schema()["function"]["name"])
    assert found.load() is look_up_first
