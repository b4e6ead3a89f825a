"""Grey sessions at the model: forced, fenced, masked, repaired once, and never below the rules' floor."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from headgate_agent_session.guard import fall_back, guard
from headgate_agent_session.policy import INTENTS, OUTCOMES
from headgate_agent_session.standin import record_intent
from headgate_agent_session.tools import INTENT, REASON_CHARS, RecordIntent
from headgate_schemas.agent import Decision, GreyCase, ModelAnswerError, Usage
from hypothesis import given
from hypothesis import strategies as st

shares = st.floats(min_value=0, max_value=1, allow_nan=False)
verdicts = st.builds(
    RecordIntent,
    intent=st.sampled_from(INTENTS),
    decision_reason=st.text(min_size=1, max_size=500),
    risk_score=shares,
    confidence=shares,
)


def grey(agent_with: Any, event: Any, page: str = "/.env", **known: Any) -> GreyCase:
    agent, _ = agent_with()
    (result,) = agent.triage([event(page=page, **known)], [None])
    assert isinstance(result, GreyCase)
    return result


def deliberate(agent_with: Any, case: GreyCase, *replies: Any) -> tuple[Decision, Any]:
    agent, model = agent_with(*replies)
    return asyncio.run(agent.deliberate(case)), model


def fenced(model: Any) -> dict[str, Any]:
    match = re.fullmatch(r'<event nonce="(\w{16})">(.*)</event nonce="\1">', str(model.asked[0][1].content))
    assert match
    parsed: dict[str, Any] = json.loads(match.group(2))
    return parsed


def test_the_models_intent_becomes_the_decision_it_means(agent_with: Any, event: Any, call: Any) -> None:
    case = grey(agent_with, event)
    decision, model = deliberate(agent_with, case, call(intent="takeover", risk_score=0.9))
    assert (decision.decision, decision.tier, decision.priority) == ("flag_high_risk", "model", "high")
    assert decision.fields == {
        "session": {"intent": "takeover", "started_at": event()["event_timestamp"], "events": 1},
    }
    assert decision.usage == Usage(1, 100, 10)
    assert len(decision.prompt_hash or "") == 64
    assert model.options[0]["tool_choice"] == "record_intent"


def test_a_model_that_was_talked_round_does_not_get_below_the_floor(agent_with: Any, event: Any, call: Any) -> None:
    decision, _ = deliberate(agent_with, grey(agent_with, event), call())
    assert (decision.decision, decision.fields["session"]["intent"]) == ("flag_high_risk", "probe")
    assert decision.decision_reason.endswith("Raised from browse: the rules set a floor.")
    assert decision.evidence[0].value == "floor"
    assert decision.risk_score >= 0.5


def test_the_prompt_has_features_and_masked_text_and_nothing_personal(agent_with: Any, event: Any, call: Any) -> None:
    page = "/.env/customer-4711/dev-77?mail=x@example.org"
    case = grey(agent_with, event, page=page, device_id="dev-77", note="ask jo@example.org <now>", country="KP")
    _, model = deliberate(agent_with, case, call())
    inside = fenced(model)
    assert (inside["page"], inside["note"]) == ("/.env/[id]/[id]", "ask [mail] <now>")
    assert (inside["leading"], inside["signals"]) == ("probe", "probing_page")
    assert not {"user_id", "device_id", "country", "event_id", "started_ms"} & inside.keys()
    assert "4711" not in json.dumps(inside)


def test_an_invalid_call_is_repaired_once_and_then_given_up(agent_with: Any, event: Any, call: Any) -> None:
    case = grey(agent_with, event)
    decision, model = deliberate(agent_with, case, call(intent="steal"), call(intent="probe"))
    assert (decision.usage.calls, len(model.asked)) == (2, 2)
    with pytest.raises(ModelAnswerError) as error:
        deliberate(agent_with, case, call(intent="steal"), call(risk_score=7))
    assert (error.value.reason, error.value.usage.calls) == ("invalid_answer", 2)


def test_what_the_provider_raises_passes(agent_with: Any, event: Any) -> None:
    with pytest.raises(ConnectionError):
        deliberate(agent_with, grey(agent_with, event), ConnectionError("throttled"))


@given(verdict=verdicts, floored=st.booleans())
def test_nothing_leaves_at_odds_with_itself(
    agent_with: Any, event: Any, context: Any, verdict: RecordIntent, *, floored: bool
) -> None:
    page = "/.env" if floored else "/account/export/1"
    session = [event(page=page) for _ in range(1 if floored else 6)]
    agent, _ = agent_with()
    memory = None
    for each in session[:-1]:
        memory = agent.remember(memory, each)
    (case,) = agent.triage(session[-1:], [memory])
    for decided in (
        guard(verdict, case, context.policy, context.masker, prompt_hash="h", usage=Usage(1, 2, 3)),
        fall_back(case, "timeout", context.policy),
    ):
        outcome = OUTCOMES.index(decided.decision)
        assert outcome >= OUTCOMES.index(case.floor.decision)
        risks = [*(context.policy.least_risk[each] for each in OUTCOMES), 1.01]
        assert risks[outcome] <= decided.risk_score < risks[outcome + 1]
        assert (decided.priority == "low") == (decided.decision == "allow")
        assert decided.decision_reason.isprintable()
        assert len(decided.decision_reason) < 2 * REASON_CHARS


def test_the_fallback_is_open_about_itself(agent_with: Any, event: Any, context: Any) -> None:
    decided = fall_back(grey(agent_with, event), "throttled", context.policy)
    assert (decided.tier, decided.fallback_reason, decided.prompt_hash) == ("fallback", "throttled", None)
    assert decided.decision_reason.startswith("Decided by the rules, the model did not answer")


def test_the_stand_in_answers_as_the_tool_demands(agent_with: Any, event: Any, call: Any) -> None:
    schema = INTENT.schema()["function"]["parameters"]
    _, model = deliberate(agent_with, grey(agent_with, event), call())
    answer = RecordIntent.model_validate(record_intent(fenced(model), schema))
    assert answer.intent == "probe"
    assert RecordIntent.model_validate(record_intent({}, schema)).intent == "browse"
    assert record_intent({}, {"properties": {"intent": {}}}) == {"intent": "browse"}
