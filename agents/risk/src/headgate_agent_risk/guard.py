"""What may leave the agent: never laxer than the rules, never at odds with itself, never with personal data."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from headgate_agent_toolkit.untrusted import clean
from headgate_schemas.agent import Decision, Evidence, GreyCase, Priority, Usage

from headgate_agent_risk.evidence import MOST
from headgate_agent_risk.review import review_reason
from headgate_agent_risk.tools import REASON_CHARS, RecordDecision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_agent_risk.context import RiskContext

_PRIORITIES: tuple[Priority, ...] = ("low", "medium", "high")
_STRICTNESS: Mapping[str, int] = MappingProxyType({"allow": 0, "flag_high_risk": 1})
_WORDLESS = "The model gave no readable reason."
_RAISED = " Raised from {decision}: {why}."


def guard(
    verdict: RecordDecision,
    case: GreyCase,
    context: RiskContext,
    *,
    prompt_hash: str,
    usage: Usage,
    evidence: tuple[Evidence, ...] = (),
) -> Decision:
    """Turn a model's verdict into a decision.

    The stricter of the verdict's decision, what its own risk score means, and the rules' floor holds.

    Args:
        verdict: Valid, not yet trusted.
        case: The event it is about.
        context: Where flagging begins, and what is personal.
        prompt_hash: SHA-256 of the prompt, hexadecimal.
        usage: What the calls used.
        evidence: What the model looked up.
    """
    floor, policy = case.floor, context.policy
    meant = "flag_high_risk" if verdict.risk_score >= policy.risk_flag_from else "allow"
    decision = max(verdict.decision, meant, floor.decision, key=_STRICTNESS.__getitem__)
    risk = max(verdict.risk_score, floor.risk_score)
    if decision != "allow":
        risk = max(risk, policy.risk_flag_from)
    reason = readable(verdict.decision_reason, case, context)
    raised = decision != verdict.decision
    floored = raised and floor.decision == decision
    if raised:
        why = "the rules set a floor" if floored else "the risk score says so"
        reason += _RAISED.format(decision=verdict.decision, why=why)
        evidence = (Evidence("guard", "raised_by", "floor" if floored else "risk_score"), *evidence)
    return Decision(
        decision=decision,
        decision_reason=reason,
        risk_score=risk,
        priority=max(verdict.priority, floor.priority, key=_PRIORITIES.index),
        confidence=verdict.confidence,
        tier="model",
        prompt_hash=prompt_hash,
        usage=usage,
        evidence=(*evidence, *floor.evidence)[:MOST],
        # A decision that its own risk score contradicts is none a model was sure of.
        review=review_reason(
            case.features,
            policy.review,
            unsure=raised or verdict.confidence < policy.review.uncertain_below,
            overruled=floored,
        ),
    )


def readable(reason: str, case: GreyCase, context: RiskContext) -> str:
    """A model's reason as it may be recorded: one line, capped, personal data masked."""
    return context.masker(clean(reason), case.event)[:REASON_CHARS] or _WORDLESS
