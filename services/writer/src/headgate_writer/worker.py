"""The loop's worker: shares the records out to the sinks and places each partition where its table says."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.errors import UnavailableError
from headgate_runtime.records import Record, TopicPartition

from headgate_writer.commit import Backoff, Outcome
from headgate_writer.errors import UnsafeToWriteError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Mapping, Sequence

    from headgate_runtime.kafka.protocols import RecordConsumer

    from headgate_writer.maintenance.upkeep import Upkeep
    from headgate_writer.outbox import Outbox
    from headgate_writer.positions import Incarnation
    from headgate_writer.sink import Sink

_log = structlog.get_logger()

# How long a departing partition's rows may take to land; what does not is read again by its next owner.
_FLUSH_TIMEOUT_S = 10.0
_FLUSH_WAIT_S = 0.005
# How often the group is told; tools that watch lag need it no sooner.
_TELL_EVERY_S = 3.0
_UNDECIDED = {Outcome.WAITING, Outcome.CONFLICT, Outcome.UNKNOWN, Outcome.UNAVAILABLE}


class WriterWorker:
    """Implements the runtime's ``Worker``; every method but :meth:`request_commit` is for the loop's thread.

    Start offsets come from the table alone. The group's offsets are committed now and then after the table's, and
    only so that tools that watch lag have something to look at.
    """

    def __init__(
        self,
        sinks: Mapping[str, Sink],
        consumer: RecordConsumer,
        outbox: Outbox,
        *,
        upkeep: Upkeep,
        identify: Callable[[], Mapping[str, Incarnation]],
        max_buffered_bytes: int,
        accepted_losses: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
        rng: random.Random,
    ) -> None:
        """Build the worker.

        Args:
            sinks: By topic.
            consumer: The loop's consumer.
            outbox: Dead letters of all sinks.
            upkeep: Maintenance of the tables.
            identify: Asks the brokers which incarnation of each topic they have.
            max_buffered_bytes: Decoded bytes, all sinks together, above which consumption pauses.
            accepted_losses: ``topic/partition/offset`` of positions from which records may be missing.
            clock: Monotonic seconds.
            wait: Sleeps, while a departing partition's rows are brought in.
            rng: Jitter.
        """
        self._sinks = sinks
        self._consumer = consumer
        self._outbox = outbox
        self._upkeep = upkeep
        self._identify = identify
        self._max_buffered_bytes = max_buffered_bytes
        self._accepted_losses = frozenset(accepted_losses)
        self._clock = clock
        self._wait = wait
        self._placing = Backoff(0.2, 10.0, rng)
        self._place_not_before = 0.0
        self._commit_requested = threading.Event()
        self._tell_not_before = 0.0

    def request_commit(self) -> None:
        """Commit what is buffered at the next tick, due or not; safe from any thread."""
        self._commit_requested.set()

    def assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Start new partitions at their tables' positions; where a catalog is away, :meth:`tick` seeks later."""
        for topic, numbers in _by_topic(partitions).items():
            self._sinks[topic].expect(numbers)
        return self._place(partitions)

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        """Bring in what is buffered before the partitions go."""
        deadline = self._clock() + _FLUSH_TIMEOUT_S
        for topic in _by_topic(partitions):
            sink = self._sinks[topic]
            while sink.busy and self._clock() < deadline:
                outcome = self._step(sink, force=True)
                if outcome is Outcome.IDLE:
                    break  # what is left waits for the registry
                if outcome in _UNDECIDED:
                    self._wait(_FLUSH_WAIT_S)
                    self._outbox.pump()
        self._tell_group()
        self.lose(partitions)

    def lose(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop what is buffered: another replica may have the partitions already."""
        for topic, numbers in _by_topic(partitions).items():
            self._sinks[topic].disown(numbers)

    def process(self, records: list[Record]) -> None:
        """Decode and buffer records."""
        by_topic: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            by_topic[record.topic].append(record)
        for topic, own in by_topic.items():
            self._sinks[topic].take(own)

    def tick(self, *, draining: bool) -> None:
        """Send dead letters, commit what is due, all of it while draining, maintain, and place partitions that wait."""
        self._outbox.pump()
        force = draining or self._commit_requested.is_set()
        self._commit_requested.clear()
        for sink in self._sinks.values():
            if sink.held:
                sink.retry()
            self._step(sink, force=force)
            if not draining:
                self._upkeep.tend(sink.parts.table, leads=sink.leads, free=sink.parts.committer.batch is None)
        if self._clock() >= self._tell_not_before:
            self._tell_not_before = self._clock() + _TELL_EVERY_S
            self._tell_group()
        if any(sink.waiting for sink in self._sinks.values()) and self._clock() >= self._place_not_before:
            for partition, offset in self._place(self._waiting()).items():
                self._consumer.seek(partition, offset)

    def congested(self) -> bool:
        """Take no more while memory is full, the registry is away or positions are not known."""
        buffered = sum(sink.size_bytes for sink in self._sinks.values())
        return buffered > self._max_buffered_bytes or any(sink.held or sink.waiting for sink in self._sinks.values())

    def busy(self) -> bool:
        """Tell whether anything taken is not in its table yet."""
        return any(sink.busy for sink in self._sinks.values())

    def close(self) -> None:
        """Close the dead letters' producer, and wait a moment for what maintenance is doing."""
        self._upkeep.close()
        self._outbox.close()

    def _step(self, sink: Sink, *, force: bool) -> Outcome:
        outcome = sink.step(force=force)
        if outcome not in {Outcome.IDLE, Outcome.WAITING, Outcome.LANDED}:
            _log.warning("commit " + outcome.name.lower(), **sink.info())
        return outcome

    def _waiting(self) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for topic, sink in self._sinks.items() for number in sink.waiting]

    def _place(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Place waiting partitions whose catalog and log answer; return where each is to be read from."""
        starts: dict[TopicPartition, int] = {}
        for topic, numbers in _by_topic(partitions).items():
            sink = self._sinks[topic]
            try:
                sink.parts.committer.require_same(self._identify()[topic])
                stored = sink.locate(numbers)
                found = self._starts({TopicPartition(topic, number): offset for number, offset in stored.items()})
            except UnavailableError as error:
                self._place_not_before = self._clock() + self._placing.next_s()
                sink.parts.committer.failure = str(error)
                _log.warning("positions not known yet", topic=topic, error=str(error))
                continue
            sink.place(stored)
            self._placing.reset()
            starts.update(found)
        return starts

    def _starts(self, stored: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return where to read from; refuse positions outside the log, for then it is not what was stored from."""
        begins, ends = self._consumer.begin_offsets(stored), self._consumer.end_offsets(stored)
        for partition, offset in stored.items():
            name = f"{partition.topic}/{partition.partition}"
            if offset > ends[partition]:
                raise UnsafeToWriteError(
                    f"{name}: the table holds records up to offset {offset} and the log ends at {ends[partition]}: it "
                    "was truncated or restored from an older copy, so the offsets in between would be used twice. "
                    "Restore the log; or create the topic again and accept its new incarnation",
                )
            if 0 < offset < begins[partition] and f"{name}/{offset}" not in self._accepted_losses:
                raise UnsafeToWriteError(
                    f"{name}: records {offset} to {begins[partition] - 1} left the log before they were stored. "
                    "Bring them back; or, to go on without them, start the writer with "
                    f"'{name}/{offset}' in its list accepted_losses",
                )
        return {partition: max(offset, begins[partition]) for partition, offset in stored.items()}

    def _tell_group(self) -> None:
        """Commit to the group what the tables hold, without waiting: only lag tools read it."""
        stored = {
            TopicPartition(topic, number): offset
            for topic, sink in self._sinks.items()
            for number, offset in sink.stored().items()
        }
        try:
            self._consumer.commit(stored, wait=False)
        except UnavailableError as error:
            _log.warning("group offsets not committed", error=str(error))


def _by_topic(partitions: Collection[TopicPartition]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for partition in partitions:
        numbers[partition.topic].append(partition.partition)
    return numbers
