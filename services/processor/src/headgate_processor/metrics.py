"""What an operator watches: events counted, late and passed over, windows, watermarks, state, transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.metrics import Metrics

TRANSACTION_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)


class ProcessorMetrics:
    """The processor's metrics.

    Args:
        metrics: The service's registry.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._counted = metrics.counter("processor_events_counted", "Events taken into windows, late ones included.")
        self._late = metrics.counter(
            "processor_events_late", "Events that came behind a window they belong in.", ("definition",)
        )
        self._passed_over = metrics.counter(
            "processor_events_passed_over", "Later records of events that are counted already."
        )
        self._windows = metrics.counter("processor_windows_closed", "Windows written.", ("topic",))
        self._parts = metrics.counter(
            "processor_parts_unmerged", "Parts of windows not merged: told on their own, or of no definition.", ("why",)
        )
        self._watermark = metrics.gauge(
            "processor_watermark_seconds", "Event time no event is waited for before, since the epoch.", ("partition",)
        )
        self._idle = metrics.gauge("processor_idle_partitions", "Partitions whose watermark moves with the wall clock.")
        self._advanced = metrics.counter(
            "processor_idle_advance_seconds", "Event time that watermarks moved on by the wall clock."
        )
        self._keys = metrics.gauge("processor_state_keys", "Keys with open windows.", ("place",))
        self._letters = metrics.counter("dead_letters", "Records given up on.", ("cause",))
        self._transaction = metrics.histogram(
            "transaction_seconds", "Commit call to acknowledgement.", buckets=TRANSACTION_BUCKETS_S
        )
        self._aborted = metrics.counter("transactions_aborted", "Transactions to be repeated.")

    def taken(self, counted: int, passed_over: int) -> None:
        """Count a run of events."""
        self._counted.inc(counted)
        self._passed_over.inc(passed_over)

    def late(self, definition: str) -> None:
        """Count an event that a definition missed."""
        self._late.labels(definition).inc()

    def gave_up(self, cause: str) -> None:
        """Count a dead letter."""
        self._letters.labels(cause).inc()

    def closed(self, topic: str, windows: int) -> None:
        """Count windows written to a topic."""
        self._windows.labels(topic).inc(windows)

    def unmerged(self, why: str, parts: int) -> None:
        """Count parts that found no window."""
        self._parts.labels(why).inc(parts)

    def advanced(self, seconds: float) -> None:
        """Count event time passed by the wall clock."""
        self._advanced.inc(seconds)

    def at(self, watermarks_ms: Mapping[int, int], idle: int) -> None:
        """Show how far partitions are."""
        self._watermark.clear()
        for partition, watermark_ms in watermarks_ms.items():
            self._watermark.labels(str(partition)).set(watermark_ms / 1000)
        self._idle.set(idle)

    def held(self, *, in_memory: int, on_disk: int) -> None:
        """Show where keys are."""
        self._keys.labels("memory").set(in_memory)
        self._keys.labels("disk").set(on_disk)

    def committed(self, seconds: float) -> None:
        """Count a commit."""
        self._transaction.observe(seconds)

    def aborted(self) -> None:
        """Count a transaction that is to be repeated."""
        self._aborted.inc()
