"""From the rules that hold to a score, a floor, and who decides."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from headgate_schemas.agent import Decision, Priority

if TYPE_CHECKING:
    from headgate_agent_risk.policy import Policy
    from headgate_agent_risk.rules import Rule, RuleBook

_NO_SIGNAL = "no rule for this kind of event holds"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the rules say of an event; the same for all events for which the same rules hold.

    Attributes:
        score: 0 to 1.
        grey: Whether the model is wanted.
        decision: The rules' decision; for a grey event the floor under any other.
        signals: Names of the rules that hold, separated by commas.
    """

    score: float
    grey: bool
    decision: Decision
    signals: str


class Scorer:
    """Turns fired rules into assessments, and remembers them: few of the possible combinations occur."""

    def __init__(self, rules: RuleBook, policy: Policy) -> None:
        self._rules = rules
        self._policy = policy
        self._known: dict[int, Assessment] = {}
        for rule in rules.rules:
            if rule.floor and rule.weight < policy.grey_from:
                raise ValueError(f"rule {rule.name} has a floor: its weight must reach grey_from, {policy.grey_from}")

    def assess(self, fired: int) -> Assessment:
        """Assess the rules whose bits are set in ``fired``."""
        known = self._known.get(fired)
        if known is None:
            known = self._known[fired] = self._assess(self._rules.of(fired))
        return known

    def _assess(self, rules: list[Rule]) -> Assessment:
        score = round(1.0 - prod((1 - rule.weight for rule in rules), start=1.0), 4)
        signals = ",".join(rule.name for rule in rules)
        reason = sentence("; ".join(rule.reason for rule in rules) or _NO_SIGNAL)
        floored = any(rule.floor for rule in rules)
        grey = self._policy.grey_from <= score < self._policy.flag_from
        flagged = floored or score >= self._policy.flag_from
        return Assessment(score, grey, self._decision(flagged=flagged, grey=grey, score=score, reason=reason), signals)

    def _decision(self, *, flagged: bool, grey: bool, score: float, reason: str) -> Decision:
        priority: Priority = "low"
        if flagged:
            priority = "medium" if grey else "high"
        risk = score
        if grey:
            risk = self._policy.risk_flag_from if flagged else 0.0
        return Decision(
            decision="flag_high_risk" if flagged else "allow",
            decision_reason=reason,
            risk_score=risk,
            priority=priority,
            confidence=self._policy.fallback_confidence if grey else round(max(score, 1 - score), 4),
            tier="rules",
        )


def sentence(text: str) -> str:
    """Write words as a sentence: first letter upper case, a full stop at the end."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
