"""Figures of one run: how the tiers that need no model do on the golden set and on generated traffic."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from headgate_schemas.agent import Decision, Event, GreyCase, Usage

from headgate_agent_risk.fallback import fall_back
from headgate_agent_risk.generator import LABELS, NORMAL, generate
from headgate_agent_risk.guard import guard
from headgate_agent_risk.tools import RecordDecision
from headgate_agent_risk.triage import build_triage_graph, run_triage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headgate_agent_risk.context import RiskContext
    from headgate_agent_risk.evals.cases import GoldenCase

Figures = dict[str, float]
_BATCH = 250
_START_MS = 1_767_225_600_000
_DAY_MS = 86_400_000
_FOOLED = RecordDecision(
    decision="allow", decision_reason="All is well.", risk_score=0.0, priority="low", confidence=1.0
)
"""The laxest answer a model can give, as one that was talked into it would."""


class Outcome(NamedTuple):
    """What happened to one labelled event.

    Attributes:
        bad: Whether the label wants it flagged.
        label: The label itself.
        decision: Of the rules, or of the fallback where the event is grey.
    """

    bad: bool
    label: str
    decision: Decision


class Evaluation:
    """Triage, fallback and guard of one context; the model is left out, as it is in an outage."""

    def __init__(self, context: RiskContext) -> None:
        self._policy = context.policy
        self._graph = build_triage_graph(context)

    def triage(self, events: Sequence[Event]) -> list[Decision | GreyCase]:
        """Triage in batches, as the enricher does."""
        results: list[Decision | GreyCase] = []
        for start in range(0, len(events), _BATCH):
            results += run_triage(self._graph, events[start : start + _BATCH])
        return results

    def golden(self, cases: Sequence[GoldenCase]) -> tuple[Figures, list[str]]:
        """Figures over the golden set, and one line for each case that came out otherwise than it should."""
        results = self.triage([case.event for case in cases])
        outcomes = [
            Outcome(case.decision != "allow", case.name, self._decide(result))
            for case, result in zip(cases, results, strict=True)
        ]
        surprises: list[str] = []
        figures: Figures = {"golden_cases": len(cases), "golden_routing_errors": 0, "golden_below_floor": 0}
        for case, result, outcome in zip(cases, results, outcomes, strict=True):
            routed = "grey" if isinstance(result, GreyCase) else result.decision
            laxest = self._laxest(result).decision
            if (routed, laxest) != (case.triage, case.floor):
                figures["golden_routing_errors"] += 1
                found, wanted = f"{routed}, at least {laxest}", f"{case.triage}, at least {case.floor}"
                surprises.append(f"{case.name}: triage gives {found}; wanted {wanted} ({case.why})")
            if laxest == "allow" and case.floor != "allow":
                figures["golden_below_floor"] += 1
            if outcome.decision.decision != case.decision:
                tier = outcome.decision.tier
                surprises.append(f"{case.name}: {tier} decides {outcome.decision.decision}, wanted {case.decision}")
        return figures | rates("golden", outcomes), surprises

    def generated(self, *, seed: int, events: int) -> Figures:
        """Figures over a day of generated traffic; what its labels call abuse should be flagged."""
        traffic = list(generate(seed=seed, events=events, start_ms=_START_MS, end_ms=_START_MS + _DAY_MS))
        started = time.perf_counter()
        results = self.triage([event for event, _ in traffic])
        elapsed_s = time.perf_counter() - started
        outcomes = [
            Outcome(label != NORMAL, label, self._decide(result))
            for (_, label), result in zip(traffic, results, strict=True)
        ]
        figures = {
            "generated_events": events,
            "generated_grey_share": sum(isinstance(result, GreyCase) for result in results) / events,
            "triage_events_per_s": events / elapsed_s,
        }
        for label in LABELS[1:]:
            figures |= _recall(f"generated_recall_{label}", [found for found in outcomes if found.label == label])
        return figures | rates("generated", outcomes)

    def _decide(self, result: Decision | GreyCase) -> Decision:
        return fall_back(result, "evaluation", self._policy) if isinstance(result, GreyCase) else result

    def _laxest(self, result: Decision | GreyCase) -> Decision:
        if not isinstance(result, GreyCase):
            return result
        return guard(_FOOLED, result, self._policy, prompt_hash="", usage=Usage())


def rates(prefix: str, outcomes: Sequence[Outcome]) -> Figures:
    """Precision and recall of flagging: overall and by the tier that decided; a figure without a base is left out."""
    figures: Figures = {}
    for tier in ("all", "rules", "fallback"):
        chosen = [found for found in outcomes if tier in {"all", found.decision.tier}]
        flagged = [found for found in chosen if found.decision.decision != "allow"]
        figures[f"{prefix}_{tier}_events"] = len(chosen)
        if flagged:
            figures[f"{prefix}_{tier}_precision"] = sum(found.bad for found in flagged) / len(flagged)
        figures |= _recall(f"{prefix}_{tier}_recall", chosen)
    return figures


def _recall(name: str, outcomes: Iterable[Outcome]) -> Figures:
    bad = [found for found in outcomes if found.bad]
    return {name: sum(found.decision.decision != "allow" for found in bad) / len(bad)} if bad else {}
