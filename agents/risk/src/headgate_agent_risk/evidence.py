"""Evidence for people: the rules that hold, the features they looked at, what tools said, and who was overruled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headgate_agent_toolkit.evidence import shown
from headgate_schemas.agent import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_agent_risk.rules import RuleBook

MOST = 24
"""Pieces of evidence a decision carries at most."""


class RuleEvidence:
    """Evidence out of triage; what is the same for all events for which the same rules hold is worked out once."""

    def __init__(self, rules: RuleBook) -> None:
        self._rules = rules
        self._known: dict[int, tuple[tuple[Evidence, ...], tuple[str, ...]]] = {}

    def __call__(self, fired: int, features: Mapping[str, Any]) -> tuple[Evidence, ...]:
        """Name the rules of the bits set in ``fired``, the weightiest first, and the features they looked at."""
        if not fired:
            return ()
        known = self._known.get(fired)
        if known is None:
            known = self._known[fired] = self._named(fired)
        rules, names = known
        return (*rules, *(Evidence("feature", name, shown(features[name])) for name in names))[:MOST]

    def _named(self, fired: int) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
        rules = sorted(self._rules.of(fired), key=lambda rule: -rule.weight)
        names = dict.fromkeys(name for rule in rules for name in rule.when)
        return tuple(Evidence("rule", rule.name, shown(rule.weight)) for rule in rules), tuple(names)
