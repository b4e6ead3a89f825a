"""What may leave the agent: never laxer than the rules, never at odds with itself, never with personal data."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from headgate_agent_toolkit.untrusted import clean
from headgate_schemas.agent import Decision, Evidence, GreyCase, Priority, Tier, Usage

from headgate_agent_session.policy import OUTCOMES
from headgate_agent_session.tools import REASON_CHARS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_agent_toolkit.masking import Masker

    from headgate_agent_session.policy import Intent, Outcome, Policy
    from headgate_agent_session.tools import RecordIntent

_WORDLESS = "The model gave no readable reason."


def stricter(one: Outcome, other: Outcome) -> Outcome:
    """The stricter of two decisions."""
    return max(one, other, key=OUTCOMES.index)


def decided(
    policy: Policy,
    features: Mapping[str, Any],
    intent: Intent,
    *,
    outcome: Outcome = "allow",
    risk: float,
    confidence: float,
    reason: str,
    tier: Tier = "rules",
    evidence: tuple[Evidence, ...] = (),
) -> Decision:
    """Make a decision whose parts agree, with what the agent adds to the record.

    Args:
        policy: Least risk of each decision.
        features: Of the event in its session.
        intent: What the session is after.
        outcome: The decision.
        risk: 0 to 1; raised to the least of the decision, lowered below that of the next stricter one.
        confidence: 0 to 1.
        reason: Words for the record.
        tier: Who decided.
        evidence: What it rests on.
    """
    priority: Priority = "low"
    if outcome != "allow":
        priority = "high" if outcome == "flag_high_risk" and risk >= policy.high_priority_from else "medium"
    stricter_risks = [policy.least_risk[other] for other in OUTCOMES[OUTCOMES.index(outcome) + 1 :]]
    most = stricter_risks[0] - 0.01 if stricter_risks else 1.0
    return Decision(
        decision=outcome,
        decision_reason=reason,
        risk_score=max(min(risk, most), policy.least_risk[outcome]),
        priority=priority,
        confidence=confidence,
        tier=tier,
        evidence=evidence,
        fields={"session": {"intent": intent, "started_at": features["started_ms"], "events": features["events"]}},
    )


def guard(
    verdict: RecordIntent, case: GreyCase, policy: Policy, masker: Masker, *, prompt_hash: str, usage: Usage
) -> Decision:
    """Turn a model's verdict into a decision: what follows from its intent, or the rules' floor where that is stricter."""
    floor: Any = case.floor.decision
    meant = policy.decisions[verdict.intent]
    outcome = stricter(meant, floor)
    raised = outcome != meant
    intent = case.features["leading"] if raised else verdict.intent
    reason = masker(clean(verdict.decision_reason), case.event)[:REASON_CHARS] or _WORDLESS
    evidence = case.floor.evidence
    if raised:
        reason += f" Raised from {verdict.intent}: the rules set a floor."
        evidence = (Evidence("guard", "raised_by", "floor"), *evidence)
    decision = decided(
        policy,
        case.features,
        intent,
        outcome=outcome,
        risk=verdict.risk_score,
        confidence=verdict.confidence,
        reason=reason,
        tier="model",
        evidence=evidence,
    )
    return dataclasses.replace(decision, prompt_hash=prompt_hash, usage=usage)


def fall_back(case: GreyCase, reason: str, policy: Policy) -> Decision:
    """Decide a grey event by its rules' score; ``reason`` is the code of why there is no answer, recorded as it is."""
    features = case.features
    believed = features["score"] >= policy.fallback_from
    least: Any = case.floor.decision
    outcome = stricter(least, policy.decisions[features["leading"]]) if believed else least
    decision = decided(
        policy,
        features,
        features["leading"] if believed else case.floor.fields["session"]["intent"],
        outcome=outcome,
        risk=features["score"],
        confidence=policy.fallback_confidence,
        reason=f"Decided by the rules, the model did not answer: {case.floor.decision_reason}",
        tier="fallback",
        evidence=case.floor.evidence,
    )
    return dataclasses.replace(decision, fallback_reason=reason)
