"""Which decisions a person is asked to see, and what share of them that is."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from typing import Any

import pytest
from headgate_agent_risk.evals.measure import Evaluation
from headgate_agent_risk.fallback import fall_back
from headgate_agent_risk.generator import generate
from headgate_agent_risk.review import review_reason
from headgate_schemas.agent import GreyCase

DAY_MS = 86_400_000


def test_an_ordinary_event_is_seen_by_nobody(agent_with: Any, event: Any) -> None:
    agent, _ = agent_with()
    results = agent.triage([event(), event("login"), event("page_view")], [None] * 3)
    assert [result.review for result in results] == [None] * 3


def test_a_payment_of_high_value_is_seen_whoever_decided(agent_with: Any, event: Any, grey: Any, call: Any) -> None:
    agent, _ = agent_with(call(confidence=1.0))
    (by_rules,) = agent.triage([event(amount=9_000.0)], [None])
    case = grey(amount=7 * 36.0)
    by_model = asyncio.run(agent.deliberate(case))
    assert [found.review for found in (by_rules, by_model, agent.fall_back(case, "timeout"))] == ["high_value"] * 3


def test_high_value_needs_no_rule_to_hold(agent_with: Any, event: Any, context: Any) -> None:
    lower = context.policy.review.model_copy(update={"high_value_from": 2.0})
    watchful = dataclasses.replace(context, policy=context.policy.model_copy(update={"review": lower}))
    agent = type(agent_with()[0])(agent_with()[1], watchful)
    small, large = agent.triage([event(amount=71.0), event(amount=72.0)], [None] * 2)
    assert (small.review, small.evidence) == (None, ())
    assert (large.review, large.decision, large.evidence) == ("high_value", "allow", ())


@pytest.mark.parametrize(("confidence", "review"), [(0.69, "uncertain"), (0.7, None)])
def test_a_model_that_is_not_sure_is_looked_after(
    agent_with: Any, grey: Any, call: Any, confidence: float, review: str | None
) -> None:
    agent, _ = agent_with(call(confidence=confidence))
    assert asyncio.run(agent.deliberate(grey())).review == review


def test_a_model_at_odds_with_the_rules_or_with_itself_is_looked_after(agent_with: Any, grey: Any, call: Any) -> None:
    agent, _ = agent_with(call(confidence=1.0), call(confidence=1.0, risk_score=0.9))
    overruled, contradictory = (asyncio.run(agent.deliberate(case)) for case in (grey(country="KP"), grey()))
    assert overruled.review == "model_and_rules_disagree"
    assert contradictory.review == "uncertain"


@pytest.mark.parametrize(("score", "review"), [(0.36, None), (0.38, "uncertain"), (0.52, "uncertain"), (0.54, None)])
def test_a_fallback_close_to_its_bound_is_looked_after(
    context: Any, grey: Any, score: float, review: str | None
) -> None:
    case = grey()
    close = dataclasses.replace(case, features={**case.features, "score": score})
    assert fall_back(close, "timeout", context.policy).review == review


def test_rules_that_are_not_sure_are_looked_after(context: Any, agent_with: Any, event: Any) -> None:
    unsure = context.policy.review.model_copy(update={"uncertain_below": 0.95})
    watchful = dataclasses.replace(context, policy=context.policy.model_copy(update={"review": unsure}))
    agent = type(agent_with()[0])(agent_with()[1], watchful)
    (failed,) = agent.triage([event("login", outcome="failure")], [None])
    assert (failed.confidence, failed.review) == (0.9, "uncertain")


def test_the_first_reason_that_holds_is_given(context: Any) -> None:
    policy = context.policy.review
    assert review_reason({"amount_ratio": 7.0}, policy, unsure=True, overruled=True) == "high_value"
    assert review_reason({"amount_ratio": 6.9}, policy, unsure=True, overruled=True) == "model_and_rules_disagree"
    assert review_reason({}, policy, unsure=True) == "uncertain"
    assert review_reason({}, policy, unsure=False) is None


def test_people_are_asked_about_few_events(context: Any) -> None:
    evaluation = Evaluation(context)
    events = [event for event, _ in generate(seed=3, events=5_000, start_ms=0, end_ms=DAY_MS)]
    results = evaluation.triage(events, evaluation.remembered(events))
    decided = [fall_back(found, "away", context.policy) if isinstance(found, GreyCase) else found for found in results]
    asked = Counter(found.review for found in decided)
    assert 0.002 <= 1 - asked[None] / len(events) <= 0.015  # four in a hundred of these events are abuse
    assert set(asked) == {None, "high_value", "uncertain"}
