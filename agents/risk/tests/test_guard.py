"""The guard and the fallback: never below the floor, never at odds with themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

from headgate_agent_risk.fallback import fall_back
from headgate_agent_risk.guard import guard
from headgate_agent_risk.tools import REASON_CHARS, RecordDecision
from headgate_schemas.agent import Decision, GreyCase, Usage
from hypothesis import given
from hypothesis import strategies as st

STRICT = ["allow", "flag_high_risk"]
PRIORITY = ["low", "medium", "high"]
shares = st.floats(min_value=0, max_value=1, allow_nan=False)
verdicts = st.builds(
    RecordDecision,
    decision=st.sampled_from(STRICT),
    decision_reason=st.text(min_size=1, max_size=500),
    risk_score=shares,
    priority=st.sampled_from(PRIORITY),
    confidence=shares,
)
floors = st.builds(
    Decision,
    decision=st.sampled_from(STRICT),
    decision_reason=st.just("Because."),
    risk_score=shares,
    priority=st.sampled_from(PRIORITY),
    confidence=shares,
    tier=st.just("rules"),
)


def with_floor(case: GreyCase, floor: Decision, score: float = 0.4) -> GreyCase:
    return dataclasses.replace(case, floor=floor, features={**case.features, "score": score})


def guarded(verdict: RecordDecision, case: GreyCase, context: Any) -> Decision:
    return guard(verdict, case, context, prompt_hash="h", usage=Usage(1, 2, 3))


def consistent(decision: Decision, context: Any) -> bool:
    threshold: float = context.policy.risk_flag_from
    return (decision.decision == "flag_high_risk") == (decision.risk_score >= threshold)


@given(verdict=verdicts, floor=floors)
def test_nothing_gets_below_the_floor(context: Any, grey: Any, verdict: RecordDecision, floor: Decision) -> None:
    decided = guarded(verdict, with_floor(grey(), floor), context)
    assert STRICT.index(decided.decision) >= STRICT.index(floor.decision)
    assert STRICT.index(decided.decision) >= STRICT.index(verdict.decision)
    assert PRIORITY.index(decided.priority) >= PRIORITY.index(floor.priority)
    assert decided.risk_score >= floor.risk_score


@given(verdict=verdicts, strict=st.booleans())
def test_decision_and_risk_score_agree(context: Any, grey: Any, verdict: RecordDecision, *, strict: bool) -> None:
    case = grey(country="KP") if strict else grey()
    assert consistent(guarded(verdict, case, context), context)


@given(reason=st.text(min_size=1, max_size=2_000))
def test_reason_is_one_capped_line_without_ids(context: Any, grey: Any, reason: str) -> None:
    verdict = RecordDecision(
        decision="flag_high_risk",
        decision_reason=f"customer-4711 {reason}",
        risk_score=0.9,
        priority="low",
        confidence=1,
    )
    text = guarded(verdict, grey(), context).decision_reason
    assert text.isprintable()
    assert 0 < len(text) <= REASON_CHARS
    assert "customer-4711" not in text


def test_raised_decision_says_so(context: Any, grey: Any) -> None:
    lax = RecordDecision(decision="allow", decision_reason="Fine.", risk_score=0.1, priority="low", confidence=1)
    by_floor = guarded(lax, grey(country="KP"), context)
    assert by_floor.decision_reason == "Fine. Raised from allow: the rules set a floor."
    by_score = guarded(lax.model_copy(update={"risk_score": 0.9}), grey(), context)
    assert by_score.decision_reason == "Fine. Raised from allow: the risk score says so."


def test_reason_without_readable_words_is_replaced(context: Any, grey: Any) -> None:
    blank = RecordDecision(decision="allow", decision_reason="\x00\u200b", risk_score=0, priority="low", confidence=1)
    assert guarded(blank, grey(), context).decision_reason == "The model gave no readable reason."


@given(score=st.floats(min_value=0.35, max_value=0.8499), strict=st.booleans())
def test_fallback_keeps_to_the_floor_and_is_consistent(context: Any, grey: Any, score: float, *, strict: bool) -> None:
    base = grey(country="KP") if strict else grey()
    case = with_floor(base, base.floor, score)
    decided = fall_back(case, "timeout", context.policy)
    assert decided == fall_back(case, "timeout", context.policy)
    assert STRICT.index(decided.decision) >= STRICT.index(case.floor.decision)
    assert consistent(decided, context)
    assert decided.priority == ("medium" if decided.decision != "allow" else "low")
    assert (decided.tier, decided.fallback_reason) == ("fallback", "timeout")
    assert decided.usage == Usage()
    assert decided.prompt_hash is None


def test_fallback_flags_from_the_policys_score_on(context: Any, grey: Any) -> None:
    case = grey()
    threshold = context.policy.fallback_flag_from
    decisions = [
        fall_back(with_floor(case, case.floor, score), "x", context.policy).decision
        for score in (threshold - 0.01, threshold)
    ]
    assert decisions == ["allow", "flag_high_risk"]
