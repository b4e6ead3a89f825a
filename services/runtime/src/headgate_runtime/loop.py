"""The loop of a service that consumes: polls, hands records to a worker, and owns pause, drain and stop."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from headgate_runtime.closing import closing
from headgate_runtime.records import column_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headgate_runtime.kafka.protocols import RecordConsumer
    from headgate_runtime.metrics import Metrics
    from headgate_runtime.records import Record, TopicPartition

_log = structlog.get_logger(__name__)

# Pausing throws away what the client has fetched, so a short congestion only stops polling. Group membership bears
# it: heartbeats have their own thread, and a rebalance waits no longer than this.
_PAUSE_AFTER_S: Final = 0.5
_OBSERVE_EVERY_S: Final = 0.5


class Worker(Protocol):
    """What a service does with records; every method runs on the loop's thread.

    An exception from any of them ends the process: a fault that passes is the worker's to keep and to retry.
    """

    def assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take new partitions; return offsets to start at where the group's committed ones are not wanted."""

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        """Finish or commit what belongs to the partitions, which are still owned, and let go of them."""

    def lose(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop what belongs to the partitions, which are gone already, without a commit."""

    def process(self, records: Sequence[Record]) -> None:
        """Take a batch of records, in order per partition."""

    def tick(self, *, draining: bool) -> None:
        """Do what is due; called in each iteration, also without records.

        Args:
            draining: No more records come: finish what is in flight without waiting for company.
        """

    def congested(self) -> bool:
        """Say whether no more records can be taken now."""

    def busy(self) -> bool:
        """Say whether anything taken is not finished yet."""

    def close(self) -> None:
        """Let go of everything; the last call."""


@dataclass(frozen=True, slots=True)
class LoopState:
    """What a loop is doing, as other threads may see it.

    Attributes:
        last_tick_age_s: Seconds since the last iteration began.
        assignment: Partitions owned.
        paused: Told to pause.
        draining: Told to drain or to stop.
        positions: Next offset to be consumed, by partition, where known.
        lag: Records behind, by partition; as of the last fetch, so it stands still while nothing is fetched.
        joined: The group has given an assignment at least once, which may be empty.
        congested: The worker takes no more for now.
        busy: Something is in flight.
        refusal: Why the brokers refuse the service's connections, None where they do not.
    """

    last_tick_age_s: float = 0.0
    assignment: tuple[TopicPartition, ...] = ()
    paused: bool = False
    draining: bool = False
    positions: Mapping[TopicPartition, int] = field(default_factory=dict)
    lag: Mapping[TopicPartition, int] = field(default_factory=dict)
    joined: bool = False
    congested: bool = False
    busy: bool = False
    refusal: str | None = None


class Loop:
    """Runs a worker on the main thread; ``stop``, ``pause``, ``resume``, ``drain``, ``snapshot`` are for any thread."""

    def __init__(
        self,
        consumer: RecordConsumer,
        worker: Worker,
        *,
        topics: Sequence[str],
        drain_timeout_s: float,
        metrics: Metrics,
        max_records: int = 1000,
        poll_timeout_s: float = 0.02,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Wire a loop.

        Args:
            consumer: The group's member; only this loop calls it.
            worker: What takes the records.
            topics: Topics to subscribe to.
            drain_timeout_s: How long a stop waits for what is in flight; what is not done then is left undone.
            metrics: Where consumption, lag and state are shown.
            max_records: Most records a batch.
            poll_timeout_s: Longest wait for a batch; also how often ``tick`` is called at rest.
            clock: Monotonic seconds.
            sleep: Waits out a short congestion.
        """
        self._consumer = consumer
        self._worker = worker
        self._topics = tuple(topics)
        self._drain_timeout_s = drain_timeout_s
        self._metrics = metrics
        self._max_records = max_records
        self._poll_timeout_s = poll_timeout_s
        self._clock = clock
        self._sleep = sleep
        # Written by other threads and by a signal handler: plain flags, because a handler must not wait for a lock.
        self._stopping = False
        self._pausing = False
        self._draining = False
        self._leaving = False  # without finishing: after a fault, or when the time for a stop is up
        self._joined = False
        self._held: set[TopicPartition] = set()
        self._congested_since: float | None = None
        self._observed_at = self._last_tick = clock()
        self._seen = LoopState()
        metrics.poll_age.set_function(lambda: self._clock() - self._last_tick)

    def run(self) -> None:
        """Consume until told to stop, finish what is in flight, leave the group.

        Raises:
            Exception: Whatever the worker or the consumer raised; nothing more is committed then.
        """
        with closing(self._worker.close, "worker"), closing(self._consumer.close, "consumer"):
            try:
                self._consume()
            except BaseException:
                self._leaving = True
                raise
            finally:
                self._metrics.loop_state.state("stopped")

    def stop(self) -> None:
        """Ask ``run`` to finish what is in flight and return; safe in a signal handler."""
        self._stopping = True

    def pause(self) -> None:
        """Stop consuming; what was taken goes on, and the partitions stay."""
        self._pausing = True

    def drain(self) -> None:
        """Stop consuming and be not ready until ``resume``, so that nothing is in flight any more."""
        self._draining = True

    def resume(self) -> None:
        """Take back ``pause`` and ``drain``."""
        self._pausing = self._draining = False

    def snapshot(self) -> LoopState:
        """Return what the loop was doing at its last observation; the age and the requests are of now."""
        return replace(
            self._seen,
            last_tick_age_s=self._clock() - self._last_tick,
            paused=self._pausing,
            draining=self._draining or self._stopping,
        )

    def _consume(self) -> None:
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        while not self._stopping:
            self._iterate()
        self._finish()

    def _iterate(self) -> None:
        self._last_tick = self._clock()
        hold = self._hold()
        if hold and not self._pause_due():
            self._sleep(self._poll_timeout_s)
        else:
            self._apply(hold=hold)
            records = self._consumer.poll(self._max_records, self._poll_timeout_s)
            if records:
                self._count(records)
                self._worker.process(records)
        self._worker.tick(draining=self._draining or self._stopping)
        if self._clock() - self._observed_at >= _OBSERVE_EVERY_S:
            self._observe()

    def _hold(self) -> bool:
        """Say whether nothing may be consumed now, and note since when the worker is congested."""
        if not self._worker.congested():
            self._congested_since = None
        elif self._congested_since is None:
            self._congested_since = self._last_tick
        return self._told_to_hold() or self._congested_since is not None

    def _told_to_hold(self) -> bool:
        return self._pausing or self._draining or self._stopping

    def _pause_due(self) -> bool:
        since = self._congested_since
        return self._told_to_hold() or (since is not None and self._last_tick - since >= _PAUSE_AFTER_S)

    def _apply(self, *, hold: bool) -> None:
        """Bring the consumer in line; partitions that came while on hold are paused too."""
        wanted = set(self._consumer.assignment()) if hold else set()
        if fresh := wanted - self._held:
            self._consumer.pause(fresh)
        if not hold and self._held:
            self._consumer.resume(self._held)
        self._held = wanted

    def _finish(self) -> None:
        """Go on without new records until nothing is in flight, or the deadline has passed."""
        deadline = self._clock() + self._drain_timeout_s
        self._observe()
        while self._worker.busy():
            if self._clock() >= deadline:
                _log.warning("drain deadline passed with work in flight", drain_timeout_s=self._drain_timeout_s)
                self._leaving = True
                return
            self._iterate()

    def _on_assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        starts = self._worker.assign(partitions)
        self._joined = True
        self._observed_at = -math.inf
        _log.info("partitions assigned", partitions=_names(partitions))
        return starts

    def _on_revoke(self, partitions: Sequence[TopicPartition]) -> None:
        _log.info("partitions revoked", partitions=_names(partitions))
        self._held.difference_update(partitions)
        if self._leaving:
            self._worker.lose(partitions)
        else:
            self._worker.revoke(partitions)

    def _on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        _log.warning("partitions lost", partitions=_names(partitions))
        self._held.difference_update(partitions)
        self._worker.lose(partitions)

    def _count(self, records: Sequence[Record]) -> None:
        for topic, count in Counter(column_of(records, "topic")).items():
            self._metrics.records_consumed.labels(topic).inc(count)

    def _observe(self) -> None:
        """Look at the consumer on its own thread, for those that ask on another."""
        assignment = tuple(sorted(self._consumer.assignment()))
        lag = self._consumer.lag()
        positions = {partition: self._consumer.position(partition) for partition in assignment}
        self._seen = LoopState(
            assignment=assignment,
            positions={partition: offset for partition, offset in positions.items() if offset is not None},
            lag=lag,
            joined=self._joined,
            congested=self._congested_since is not None,
            busy=self._worker.busy(),
            refusal=self._consumer.refusal(),
        )
        self._metrics.lag.clear()
        for partition, behind in lag.items():
            self._metrics.lag.labels(partition.topic, str(partition.partition)).set(behind)
        self._metrics.loop_state.state(self._state())
        self._observed_at = self._clock()

    def _state(self) -> str:
        if self._draining or self._stopping:
            return "draining"
        if self._pausing:
            return "paused"
        if self._congested_since is not None:
            return "congested"
        return "running" if self._joined else "starting"


def _names(partitions: Sequence[TopicPartition]) -> list[str]:
    return [f"{partition.topic}/{partition.partition}" for partition in partitions]
