"""Metrics in a registry of their own, so that two services in one process never share a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, ProcessCollector

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOP_STATES: Final = ("starting", "running", "congested", "paused", "draining", "stopped")


class Metrics:
    """The runtime's own metrics, and factories for a service's; every name gets the prefix ``headgate_``.

    What the process takes of the machine goes by the names Prometheus' clients share, ``process_...``.

    Attributes:
        registry: What /metrics renders.
        records_consumed: Records handed to the worker, by topic.
        lag: Records behind the end of the topic, by topic and partition.
        poll_age: Seconds since the loop's last iteration.
        ready: What /readyz says, asked whenever somebody looks.
        worker_restarts: Workers before this one, all of them killed.
        loop_state: What the loop is doing.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.records_consumed = self.counter("records_consumed", "Records handed to the worker.", ("topic",))
        self.lag = self.gauge(
            "consumer_lag_records", "Records behind the end of the partition.", ("topic", "partition")
        )
        self.poll_age = self.gauge("poll_age_seconds", "Seconds since the loop's last iteration.")
        self.ready = self.gauge("ready_state", "1 where the service should get work, as /readyz says, 0 where not.")
        self.worker_restarts = self.gauge(
            "worker_restarts", "Workers that a signal killed and that were replaced since the process began."
        )
        self.loop_state = Enum(
            "headgate_loop_state", "What the loop is doing.", states=list(LOOP_STATES), registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        """Make a counter ``headgate_<name>_total``."""
        return Counter(f"headgate_{name}", documentation, labels, registry=self.registry)

    def gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
        """Make a gauge ``headgate_<name>``."""
        return Gauge(f"headgate_{name}", documentation, labels, registry=self.registry)

    def histogram(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS,
    ) -> Histogram:
        """Make a histogram ``headgate_<name>``; buckets are upper bounds in the metric's unit."""
        return Histogram(f"headgate_{name}", documentation, labels, buckets=buckets, registry=self.registry)

    def conventional_histogram(
        self, name: str, documentation: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> Histogram:
        """Make a histogram that OpenTelemetry's semantic conventions define, under the name they give it."""
        return Histogram(name, documentation, labels, buckets=buckets, registry=self.registry)
