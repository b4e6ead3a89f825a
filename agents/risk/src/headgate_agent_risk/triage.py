"""The triage graph: one run a micro-batch, synchronous, no checkpointer, no model."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from headgate_schemas.agent import Decision, Event, GreyCase, Memory
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from headgate_agent_risk.evidence import RuleEvidence
from headgate_agent_risk.features import FeatureExtractor, Features
from headgate_agent_risk.review import review_reason
from headgate_agent_risk.rules import RuleBook
from headgate_agent_risk.scoring import Assessment, Scorer
from headgate_agent_risk.state import TriageState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_agent_risk.context import RiskContext

TriageGraph = CompiledStateGraph[TriageState, None, TriageState, TriageState]


class TriageNodes:
    """The nodes, with what they need; each computes one list of the state out of the lists before it."""

    def __init__(self, context: RiskContext) -> None:
        self._extract = FeatureExtractor(context.policy)
        self._rules = RuleBook(context.rules)
        self._scorer = Scorer(self._rules, context.policy)
        self._evidence = RuleEvidence(self._rules)
        self._review = context.policy.review

    def features(self, state: TriageState) -> dict[str, list[Features]]:
        """Compute each event's features."""
        extract = self._extract
        rows = zip(state["events"], state["memories"], strict=True)
        return {"features": [extract(event, memory) for event, memory in rows]}

    def rules(self, state: TriageState) -> dict[str, list[int]]:
        """Evaluate the rules."""
        fired = self._rules.fired
        return {"fired": [fired(features) for features in state["features"]]}

    def score(self, state: TriageState) -> dict[str, list[Assessment]]:
        """Score what the rules found."""
        assess = self._scorer.assess
        return {"assessments": [assess(fired) for fired in state["fired"]]}

    def split(self, state: TriageState) -> dict[str, list[Decision | GreyCase]]:
        """Decide what the rules can; hand on the rest with their floor."""
        rows = zip(
            state["events"], state["memories"], state["features"], state["fired"], state["assessments"], strict=True
        )
        high = self._review.high_value_from
        return {
            "results": [
                self._result(*row) if row[3] or row[2].get("amount_ratio", 0.0) >= high else row[4].decision
                for row in rows
            ]
        }

    def _result(
        self, event: Event, memory: Memory | None, features: Features, fired: int, found: Assessment
    ) -> Decision | GreyCase:
        evidence = self._evidence(fired, features)
        if not found.grey:
            unsure = found.decision.confidence < self._review.uncertain_below
            review = review_reason(features, self._review, unsure=unsure)
            return dataclasses.replace(found.decision, evidence=evidence, review=review)
        floor = dataclasses.replace(found.decision, evidence=evidence)
        return GreyCase(event, {**features, "score": found.score, "signals": found.signals}, floor, memory)


def build_triage_graph(context: RiskContext) -> TriageGraph:
    """Compile features -> rules -> score -> split.

    Raises:
        ValueError: Rules and policy contradict each other; the text names the rule.
    """
    nodes = TriageNodes(context)
    graph = StateGraph(TriageState)
    graph.add_node("compute_features", nodes.features)
    graph.add_node("apply_rules", nodes.rules)
    graph.add_node("compute_score", nodes.score)
    graph.add_node("split", nodes.split)
    graph.add_edge(START, "compute_features")
    graph.add_edge("compute_features", "apply_rules")
    graph.add_edge("apply_rules", "compute_score")
    graph.add_edge("compute_score", "split")
    graph.add_edge("split", END)
    return graph.compile(name="triage")


def run_triage(
    graph: TriageGraph, events: Sequence[Event], memories: Sequence[Memory | None]
) -> list[Decision | GreyCase]:
    """Triage a micro-batch; one result an event, in order."""
    if not events:
        return []
    results: list[Decision | GreyCase] = graph.invoke({"events": events, "memories": memories})["results"]
    return results
