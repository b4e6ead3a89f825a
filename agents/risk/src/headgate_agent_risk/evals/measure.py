"""Figures of one run: how the tiers that need no model do on the golden set and on generated traffic."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from headgate_schemas.agent import Decision, Event, GreyCase, Memory, Usage

from headgate_agent_risk.evals.asking import Asked, deliberate_all
from headgate_agent_risk.fallback import fall_back
from headgate_agent_risk.generator import LABELS, NORMAL, generate
from headgate_agent_risk.guard import guard
from headgate_agent_risk.memory import remember
from headgate_agent_risk.tools import RecordDecision
from headgate_agent_risk.triage import build_triage_graph, run_triage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headgate_schemas.agent import Agent

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


class Price(NamedTuple):
    """Of a model, in US dollars per million tokens, which is millionths of a dollar per token."""

    input: float
    output: float


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


class Generated(NamedTuple):
    """What a day of generated traffic gave.

    Attributes:
        figures: The figures.
        ruled: Every event as the rules and the fallback decide it.
        informed: The same with the model's decisions; None where none was asked.
    """

    figures: Figures
    ruled: list[Outcome]
    informed: list[Outcome] | None


class Evaluation:
    """Triage, fallback and guard of one context; the model is left out, as it is in an outage."""

    def __init__(self, context: RiskContext) -> None:
        self._context = context
        self._policy = context.policy
        self._graph = build_triage_graph(context)

    def triage(self, events: Sequence[Event], memories: Sequence[Memory | None]) -> list[Decision | GreyCase]:
        """Triage in batches, as the enricher does."""
        return self.timed_triage(events, memories)[0]

    def timed_triage(
        self, events: Sequence[Event], memories: Sequence[Memory | None]
    ) -> tuple[list[Decision | GreyCase], list[float]]:
        """Triage in batches; gives each event's result, and how long it waited for its batch, milliseconds."""
        results: list[Decision | GreyCase] = []
        waits_ms: list[float] = []
        for start in range(0, len(events), _BATCH):
            batch = slice(start, start + _BATCH)
            began_s = time.perf_counter()
            decided = run_triage(self._graph, events[batch], memories[batch])
            waits_ms += [(time.perf_counter() - began_s) * 1_000] * len(decided)
            results += decided
        return results, waits_ms

    def remembered(self, events: Sequence[Event]) -> list[Memory | None]:
        """What is remembered of each event's account before it, as the enricher keeps it."""
        accounts: dict[str, Memory | None] = {}
        memories: list[Memory | None] = []
        for event in events:
            account = event["payload"]["attributes"]["user_id"]
            memories.append(accounts.get(account))
            accounts[account] = remember(memories[-1], event, self._policy)
        return memories

    def golden(self, cases: Sequence[GoldenCase]) -> tuple[Figures, list[str]]:
        """Figures over the golden set, and one line for each case that came out otherwise than it should."""
        results = self.triage([case.event for case in cases], [None] * len(cases))
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

    def generated(self, *, seed: int, events: int, agent: Agent | None = None, price: Price | None = None) -> Generated:
        """Figures over a day of generated traffic; what its labels call abuse should be flagged.

        Args:
            seed: Of the traffic.
            events: How many.
            agent: Asked about grey events, beside the fallback; None leaves the model out.
            price: Of the agent's model; None counts no cost.
        """
        traffic = list(generate(seed=seed, events=events, start_ms=_START_MS, end_ms=_START_MS + _DAY_MS))
        memories = self.remembered([event for event, _ in traffic])
        started_s = time.perf_counter()
        results, waits_ms = self.timed_triage([event for event, _ in traffic], memories)
        elapsed_s = time.perf_counter() - started_s
        ruled_ms = [ms for result, ms in zip(results, waits_ms, strict=True) if not isinstance(result, GreyCase)]
        outcomes = [
            Outcome(label != NORMAL, label, self._decide(result))
            for (_, label), result in zip(traffic, results, strict=True)
        ]
        figures = {
            "generated_events": events,
            "generated_grey_share": sum(isinstance(result, GreyCase) for result in results) / events,
            "triage_events_per_s": events / elapsed_s,
            **latency("ruled_latency", ruled_ms),
        }
        for label in LABELS[1:]:
            figures |= _recall(f"generated_recall_{label}", [found for found in outcomes if found.label == label])
        figures |= rates("generated", outcomes) | _worth("rules_only", outcomes)
        if agent is None:
            return Generated(figures, outcomes, None)
        asked = iter(deliberate_all(agent, [result for result in results if isinstance(result, GreyCase)]))
        answers = [next(asked) if isinstance(result, GreyCase) else None for result in results]
        informed = [
            found if answer is None else found._replace(decision=answer.decision)
            for found, answer in zip(outcomes, answers, strict=True)
        ]
        figures |= _worth("rules_and_model", informed) | _spent([each for each in answers if each], events, price)
        return Generated(figures, outcomes, informed)

    def _decide(self, result: Decision | GreyCase) -> Decision:
        return fall_back(result, "evaluation", self._policy) if isinstance(result, GreyCase) else result

    def _laxest(self, result: Decision | GreyCase) -> Decision:
        if not isinstance(result, GreyCase):
            return result
        return guard(_FOOLED, result, self._context, prompt_hash="", usage=Usage())


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


def _worth(prefix: str, outcomes: Sequence[Outcome]) -> Figures:
    """Precision, recall and their harmonic mean, of all tiers together; no cost until calls are counted."""
    right = sum(found.bad and found.decision.decision != "allow" for found in outcomes)
    flagged = sum(found.decision.decision != "allow" for found in outcomes)
    bad = sum(found.bad for found in outcomes)
    return {
        f"{prefix}_precision": right / flagged if flagged else 0.0,
        f"{prefix}_recall": right / bad if bad else 0.0,
        f"{prefix}_f1": 2 * right / (flagged + bad) if flagged + bad else 0.0,
        f"{prefix}_cost_per_1000_events_usd": 0.0,
    }


def _spent(asked: Sequence[Asked], events: int, price: Price | None) -> Figures:
    """What the model calls cost, how many a case took, and how long a case had to wait."""
    usage = sum((found.decision.usage for found in asked), start=Usage())
    microdollars = usage.input_tokens * price.input + usage.output_tokens * price.output if price else 0.0
    return {
        "rules_and_model_cost_per_1000_events_usd": microdollars / 1_000_000 / events * 1_000,
        "model_cases": len(asked),
        "model_calls": usage.calls,
        "model_calls_per_case": usage.calls / max(len(asked), 1),
        "model_cases_with_tools": sum(any(e.source == "tool" for e in found.decision.evidence) for found in asked),
        "model_cases_fallen_back": sum(found.decision.tier == "fallback" for found in asked),
        **latency("model_case_latency", [found.latency_ms for found in asked]),
    }


def latency(prefix: str, taken_ms: Sequence[float]) -> Figures:
    """Median and 95th percentile of times in milliseconds."""
    ordered = sorted(taken_ms) or [0.0]
    return {f"{prefix}_p50_ms": ordered[len(ordered) // 2], f"{prefix}_p95_ms": ordered[len(ordered) * 95 // 100]}


def _recall(name: str, outcomes: Iterable[Outcome]) -> Figures:
    bad = [found for found in outcomes if found.bad]
    return {name: sum(found.decision.decision != "allow" for found in bad) / len(bad)} if bad else {}
