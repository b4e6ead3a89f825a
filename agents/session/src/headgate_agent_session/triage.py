"""Triage: what the rules make of an event in its session, and who decides."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from headgate_agent_toolkit.conditions import compile_when
from headgate_agent_toolkit.evidence import shown
from headgate_schemas.agent import Decision, Event, Evidence, GreyCase, Memory

from headgate_agent_session.features import Features, extract
from headgate_agent_session.guard import decided, stricter
from headgate_agent_session.policy import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_agent_session.policy import Intent, Outcome, Policy
    from headgate_agent_session.rules import Rule

MOST_EVIDENCE = 16
_ORDINARY = "Nothing about the session stands out."


class Triage:
    """Decides what the rules can; hands on the rest with their floor.

    Args:
        rules: Each speaks for an intent.
        policy: From which score on who decides.

    Raises:
        ValueError: A rule's floor would be lost; the text names the rule.
    """

    def __init__(self, rules: Sequence[Rule], policy: Policy) -> None:
        self._rules = [(rule, compile_when(rule.when)) for rule in rules]
        self._policy = policy
        for rule in rules:
            if rule.floor and rule.weight < policy.grey_from:
                raise ValueError(f"rule {rule.name} has a floor: its weight must reach grey_from, {policy.grey_from}")

    def __call__(self, event: Event, memory: Memory | None) -> Decision | GreyCase:
        """Triage one event."""
        policy, features = self._policy, extract(event, memory, self._policy)
        fired = [rule for rule, holds in self._rules if holds(features)]
        if not fired:
            return decided(policy, features, harmless(features), risk=0.0, confidence=1.0, reason=_ORDINARY)
        leading, score = self._leading(fired)
        if score < policy.grey_from:
            return self._least(features, fired, harmless(features), "allow", risk=score, confidence=round(1 - score, 4))
        floor = _floor(fired)
        if score >= policy.certain_from:
            outcome = stricter(floor, policy.decisions[leading])
            return self._least(features, fired, leading, outcome, risk=score, confidence=score)
        intent = harmless(features) if floor == "allow" else leading
        least = self._least(features, fired, intent, floor, risk=0.0, confidence=policy.fallback_confidence)
        signals = ",".join(rule.name for rule in fired)
        return GreyCase(event, {**features, "score": score, "leading": leading, "signals": signals}, least, memory)

    def _least(
        self,
        features: Features,
        fired: Sequence[Rule],
        intent: Intent,
        outcome: Outcome,
        *,
        risk: float,
        confidence: float,
    ) -> Decision:
        """The rules' own decision, or the floor under another one's."""
        reason = "; ".join(rule.reason for rule in fired)
        return decided(
            self._policy,
            features,
            intent,
            outcome=outcome,
            risk=risk,
            confidence=confidence,
            reason=f"{reason[0].upper()}{reason[1:]}.",
            evidence=_evidence(fired, features),
        )

    def _leading(self, fired: Sequence[Rule]) -> tuple[Intent, float]:
        """The intent that most speaks for, and its score; of several that are certain, the one with most to fear of."""
        certain, decisions = self._policy.certain_from, self._policy.decisions
        intents: list[Intent] = [rule.intent for rule in fired]
        scores = {intent: 1 - prod(1 - rule.weight for rule in fired if rule.intent == intent) for intent in intents}

        def rank(intent: Intent) -> tuple[float, int, float]:
            return min(scores[intent], certain), OUTCOMES.index(decisions[intent]), scores[intent]

        leading = max(intents, key=rank)
        return leading, round(scores[leading], 4)


def harmless(features: Features) -> Intent:
    """What a session is after that nothing speaks against."""
    return "buy" if features["buying"] else "browse"


def _floor(fired: Sequence[Rule]) -> Outcome:
    floor: Outcome = "allow"
    for rule in fired:
        floor = stricter(floor, rule.floor or "allow")
    return floor


def _evidence(fired: Sequence[Rule], features: dict[str, Any]) -> tuple[Evidence, ...]:
    rules = sorted(fired, key=lambda rule: -rule.weight)
    names = dict.fromkeys(name for rule in rules for name in rule.when)
    found = [Evidence("rule", rule.name, shown(rule.weight)) for rule in rules]
    return (*found, *(Evidence("feature", name, shown(features[name])) for name in names))[:MOST_EVIDENCE]
