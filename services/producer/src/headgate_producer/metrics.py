"""The producer's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from headgate_runtime.errors import HeadgateError
    from headgate_runtime.metrics import Metrics

_LATENCY_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class ProducerMetrics:
    """What came in over HTTP and what became of it.

    Attributes:
        accepted: Events acknowledged by the broker.
        refused: Events refused, by rule: of the schema, of the contract.
        undelivered: Events handed over that the broker did not acknowledge, by kind of error.
        turned_away: Requests not taken, by reason: ``closed``, ``backpressure``, ``unavailable``, ``too_large``.
        latency: Seconds from the hand-over of an event to its acknowledgement.
        outstanding: Events that wait for their acknowledgement.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.accepted = metrics.counter("producer_events_accepted", "Events acknowledged by the broker.")
        self.refused = metrics.counter("producer_events_refused", "Events refused.", ("rule",))
        self.undelivered = metrics.counter("producer_events_undelivered", "Events not acknowledged.", ("error",))
        self.turned_away = metrics.counter("producer_requests_turned_away", "Requests not taken.", ("reason",))
        self.latency = metrics.histogram(
            "producer_delivery_seconds", "From hand-over to acknowledgement.", buckets=_LATENCY_BUCKETS_S
        )
        self.outstanding = metrics.gauge("producer_events_outstanding", "Events that wait for acknowledgement.")

    def delivered(self, latency_s: float, error: HeadgateError | None) -> None:
        """Count one settled event."""
        if error is None:
            self.accepted.inc()
            self.latency.observe(latency_s)
        else:
            self.undelivered.labels(type(error).__name__).inc()
