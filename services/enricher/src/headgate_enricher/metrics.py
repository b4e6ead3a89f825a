"""What an operator watches: decisions, the model, and how long an event takes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_runtime.metrics import Metrics
    from headgate_schemas.agent import Decision

    from headgate_enricher.work import Answer

MODEL_BUCKETS_S = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
TRANSACTION_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
LATENCY_BUCKETS_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 60, 600)


class EnricherMetrics:
    """The enricher's metrics; counts of single events are collected and handed over once a commit.

    Args:
        metrics: The service's registry.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._decisions = metrics.counter(
            "decisions", "Events decided; one that changes hands in a rebalance may count twice.", ("decision", "tier")
        )
        self._fallbacks = metrics.counter("fallbacks", "Grey events decided without a model.", ("reason",))
        self._reviews = metrics.counter("reviews_requested", "Decisions that a person is asked to see.", ("reason",))
        self._dead_letters = metrics.counter("dead_letters", "Records given up on.", ("cause",))
        self._model = metrics.histogram(
            "deliberation_seconds", "Grey event handed over to answer.", ("outcome",), MODEL_BUCKETS_S
        )
        self._transaction = metrics.histogram(
            "transaction_seconds", "Commit call to acknowledgement.", buckets=TRANSACTION_BUCKETS_S
        )
        self._latency = metrics.histogram(
            "decision_latency_seconds", "Input record's timestamp to commit of its output.", buckets=LATENCY_BUCKETS_S
        )
        self._in_flight = metrics.gauge("events_in_flight", "Events taken up and not decided yet.")
        self._at_model = metrics.gauge("events_at_model", "Grey events at the model or waiting for a free call.")
        self._waiting = metrics.gauge("events_waiting", "Events that wait behind a grey one of their key.")
        self._memories = metrics.gauge("memory_keys", "Keys that agents remember something of.", ("place",))
        self._aborted = metrics.counter("transactions_aborted", "Transactions to be repeated.")

    def decided(self, decision: Decision) -> None:
        """Count a decision."""
        self._counts[decision.decision, decision.tier] += 1
        if decision.fallback_reason is not None:
            self._fallbacks.labels(decision.fallback_reason).inc()

    def review_requested(self, reason: str) -> None:
        """Count a decision that a person is asked to see."""
        self._reviews.labels(reason).inc()

    def gave_up(self, cause: str) -> None:
        """Count a dead letter."""
        self._dead_letters.labels(cause).inc()

    def answered(self, answer: Answer) -> None:
        """Count an answer of the model."""
        self._model.labels("decided" if answer.decision is not None else "failed").observe(answer.seconds)

    def committed(self, seconds: float, latencies_s: Sequence[float]) -> None:
        """Count a commit of the outputs with these latencies."""
        self._transaction.observe(seconds)
        for latency_s in latencies_s:
            self._latency.observe(latency_s)
        for (decision, tier), events in self._counts.items():
            self._decisions.labels(decision, tier).inc(events)
        self._counts.clear()

    def aborted(self) -> None:
        """Count a transaction that is to be repeated."""
        self._aborted.inc()

    def under_way(self, *, in_flight: int, at_model: int, waiting: int) -> None:
        """Show what is under way."""
        self._in_flight.set(in_flight)
        self._at_model.set(at_model)
        self._waiting.set(waiting)

    def remembered(self, *, in_memory: int, on_disk: int) -> None:
        """Show of how many keys something is remembered, and where."""
        self._memories.labels("memory").set(in_memory)
        self._memories.labels("disk").set(on_disk)
