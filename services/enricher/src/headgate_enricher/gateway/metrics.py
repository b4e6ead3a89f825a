"""What an operator watches of each model: calls, time, money, and what keeps calls from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_runtime.metrics import Metrics
    from headgate_schemas.agent import Usage

    from headgate_enricher.gateway.breaker import State

CALL_BUCKETS_S = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
_STATES: dict[State, int] = {"closed": 0, "half_open": 1, "open": 2}


class GatewayMetrics:
    """The gateway's metrics, by model id.

    Args:
        metrics: The service's registry.
    """

    def __init__(self, metrics: Metrics) -> None:
        model = ("model",)
        self._attempts = metrics.counter(
            "model_attempts", "Attempts sent to a model, by how they ended.", ("model", "outcome")
        )
        self._seconds = metrics.histogram(
            "model_attempt_seconds", "Attempt sent to its end.", ("model", "outcome"), CALL_BUCKETS_S
        )
        self._refused = metrics.counter("model_refused", "Attempts not made, and why.", ("model", "reason"))
        self._tokens = metrics.counter("model_tokens", "Tokens paid for.", ("model", "direction"))
        self._cost = metrics.counter(
            "model_cost_microdollars", "Price of the answers, millionths of a US dollar.", model
        )
        self._unsettled = metrics.counter(
            "model_unsettled_microdollars",
            "The most that attempts without an answer may have cost, millionths of a US dollar.",
            model,
        )
        self._reused = metrics.counter("model_answers_reused", "Answers that were paid for before.", ("source",))
        self._unrecorded = metrics.counter("model_answers_unrecorded", "Answers that could not be kept for a restart.")
        self._breaker = metrics.gauge("model_breaker_state", "0 closed, 1 half open, 2 open.", model)
        self._in_flight = metrics.gauge("model_in_flight", "Attempts under way.", model)
        self._limit = metrics.gauge("model_concurrency_limit", "Attempts that may be under way.", model)

    def attempted(self, model_id: str, outcome: str, seconds: float) -> None:
        """Count an attempt that ended; its outcome is ``answered``, ``cancelled`` or the reason code of its error."""
        self._attempts.labels(model_id, outcome).inc()
        self._seconds.labels(model_id, outcome).observe(seconds)

    def refused(self, model_id: str, reason: str) -> None:
        """Count an attempt that was not made."""
        self._refused.labels(model_id, reason).inc()

    def paid(self, model_id: str, usage: Usage, cost_microdollars: int) -> None:
        """Count what an answer cost."""
        self._tokens.labels(model_id, "input").inc(usage.input_tokens)
        self._tokens.labels(model_id, "output").inc(usage.output_tokens)
        self._cost.labels(model_id).inc(cost_microdollars)

    def unsettled(self, model_id: str, most_microdollars: int) -> None:
        """Count the reservation of an attempt that ended without an answer and may have been paid."""
        self._unsettled.labels(model_id).inc(most_microdollars)

    def reused(self, source: str) -> None:
        """Count an answer out of the recordings (``recorded``) or the cache (``cached``)."""
        self._reused.labels(source).inc()

    def unrecorded(self) -> None:
        """Count an answer that would be paid for again after a crash."""
        self._unrecorded.inc()

    def gates(self, model_id: str, *, breaker: State, in_flight: int, limit: int) -> None:
        """Show what keeps calls from a model."""
        self._breaker.labels(model_id).set(_STATES[breaker])
        self._in_flight.labels(model_id).set(in_flight)
        self._limit.labels(model_id).set(limit)
