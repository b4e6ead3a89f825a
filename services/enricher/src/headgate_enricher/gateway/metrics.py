"""What an operator watches of each model: calls, time, money, and what keeps calls from it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.metrics import Metrics
    from headgate_schemas.agent import Usage

    from headgate_enricher.gateway.breaker import State

# Bounds, names and labels of the two are those of the GenAI semantic conventions.
DURATION_BUCKETS_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_BUCKETS = tuple(4**power for power in range(14))
_OPERATION = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_CHAT = ("chat", "aws.bedrock")
_ANSWERED = "answered"
_STATES: dict[State, int] = {"closed": 0, "half_open": 1, "open": 2}


class GatewayMetrics:
    """The gateway's metrics, by model id.

    Args:
        metrics: The service's registry.
    """

    def __init__(self, metrics: Metrics) -> None:
        model = ("model",)
        duration = metrics.conventional_histogram(
            "gen_ai_client_operation_duration_seconds",
            "Attempt sent to a model to its end.",
            (*_OPERATION, "error_type"),
            DURATION_BUCKETS_S,
        )
        tokens = metrics.conventional_histogram(
            "gen_ai_client_token_usage", "Tokens of an answer.", (*_OPERATION, "gen_ai_token_type"), TOKEN_BUCKETS
        )
        # Finding a label's child costs several times what counting does.
        self._duration = cache(duration.labels)
        self._tokens = cache(tokens.labels)
        self._refused = metrics.counter("model_attempts_refused", "Attempts not made, and why.", ("model", "reason"))
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
        self._in_flight = metrics.gauge("model_attempts_in_flight", "Attempts under way.", model)
        self._limit = metrics.gauge("model_attempts_limit", "Attempts that may be under way.", model)

    def attempted(self, model_id: str, outcome: str, seconds: float) -> None:
        """Count an attempt that ended; its outcome is ``answered``, ``cancelled`` or the reason code of its error."""
        error_type = "" if outcome == _ANSWERED else outcome
        self._duration(*_CHAT, model_id, error_type).observe(seconds)

    def refused(self, model_id: str, reason: str) -> None:
        """Count an attempt that was not made."""
        self._refused.labels(model_id, reason).inc()

    def paid(self, model_id: str, usage: Usage, cost_microdollars: int) -> None:
        """Count what an answer cost."""
        self._tokens(*_CHAT, model_id, "input").observe(usage.input_tokens)
        self._tokens(*_CHAT, model_id, "output").observe(usage.output_tokens)
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

    def watch(
        self, model_id: str, *, breaker: Callable[[], State], in_flight: Callable[[], int], limit: Callable[[], int]
    ) -> None:
        """Show what keeps calls from a model, as of whenever somebody looks."""
        self._breaker.labels(model_id).set_function(lambda: _STATES[breaker()])
        self._in_flight.labels(model_id).set_function(in_flight)
        self._limit.labels(model_id).set_function(limit)
