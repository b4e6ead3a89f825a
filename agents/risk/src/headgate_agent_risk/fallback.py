"""The decision when the model cannot be had: deterministic, conservative, and open about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_schemas.agent import Decision, GreyCase, Priority

from headgate_agent_risk.review import review_reason

if TYPE_CHECKING:
    from headgate_agent_risk.policy import Policy


def fall_back(case: GreyCase, reason: str, policy: Policy) -> Decision:
    """Decide a grey event by its rules' score.

    Args:
        case: The event, its features and the rules' floor.
        reason: Code of why there is no answer, e.g. ``timeout``; recorded as it is.
        policy: From which score on an event is flagged without an answer.
    """
    score = case.features["score"]
    flagged = case.floor.decision != "allow" or score >= policy.fallback_flag_from
    close = abs(score - policy.fallback_flag_from) < policy.review.fallback_margin
    priority: Priority = "low"
    if flagged:
        priority = "high" if case.floor.priority == "high" else "medium"
    risk = max(score, policy.risk_flag_from) if flagged else score
    return Decision(
        decision="flag_high_risk" if flagged else "allow",
        decision_reason=f"Decided by the rules, the model did not answer: {case.floor.decision_reason}",
        risk_score=risk,
        priority=priority,
        confidence=policy.fallback_confidence,
        tier="fallback",
        fallback_reason=reason,
        evidence=case.floor.evidence,
        review=review_reason(case.features, policy.review, unsure=close),
    )
