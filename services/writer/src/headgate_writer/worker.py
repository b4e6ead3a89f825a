"""The loop's worker: shares the records out to the sinks and places each partition where its table says."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.errors import RejectedError, UnavailableError
from headgate_runtime.records import EARLIEST

from headgate_writer.commit import Backoff, Outcome
from headgate_writer.errors import Acceptance, UnsafeToWriteError
from headgate_writer.runs import runs_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from headgate_runtime.kafka.protocols import RecordConsumer
    from headgate_runtime.records import Record, TopicPartition

    from headgate_writer.maintenance.upkeep import Upkeep
    from headgate_writer.outbox import Outbox
    from headgate_writer.parking import Parking
    from headgate_writer.routes import Routes
    from headgate_writer.runs import Run
    from headgate_writer.sink import Sink

_log = structlog.get_logger()

# How long a departing partition's rows may take to land; what does not is read again by its next owner.
_FLUSH_TIMEOUT_S = 10.0
_FLUSH_WAIT_S = 0.005
# How often the group is told; tools that watch lag need it no sooner.
_TELL_EVERY_S = 3.0
_UNDECIDED = {Outcome.WAITING, Outcome.CONFLICT, Outcome.UNKNOWN, Outcome.UNAVAILABLE}


class WriterWorker:
    """Implements the runtime's ``Worker``; every method but :meth:`request_commit` and :meth:`accept` is for the loop's thread.

    Start offsets come from the table alone. The group's offsets are committed now and then after the table's, and
    only so that tools that watch lag have something to look at.
    """

    def __init__(
        self,
        routes: Routes,
        consumer: RecordConsumer,
        outbox: Outbox,
        parking: Parking,
        *,
        upkeep: Upkeep,
        max_buffered_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
        rng: random.Random,
    ) -> None:
        """Build the worker.

        Args:
            routes: Topics and their sinks.
            consumer: The loop's consumer.
            outbox: Dead letters of all sinks.
            parking: Takes the sinks that it is not safe to write to.
            upkeep: Maintenance of the tables.
            max_buffered_bytes: Decoded bytes, all sinks together, above which consumption pauses.
            clock: Monotonic seconds.
            wait: Sleeps, while a departing partition's rows are brought in.
            rng: Jitter.
        """
        self._routes = routes
        self._consumer = consumer
        self._outbox = outbox
        self._parking = parking
        self._upkeep = upkeep
        self._max_buffered_bytes = max_buffered_bytes
        self._clock = clock
        self._wait = wait
        self._placing = Backoff(0.2, 10.0, rng)
        self._place_not_before = 0.0
        self._commit_requested = threading.Event()
        self._tell_not_before = 0.0

    def request_commit(self) -> None:
        """Commit what is buffered at the next tick, due or not; safe from any thread."""
        self._commit_requested.set()

    def accept(self, what: Acceptance) -> bool:
        """Let something pass that a parked table waits for; False where none does. Safe from any thread."""
        return self._parking.accept(what)

    def assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Start new partitions at their tables' positions; where a catalog is away, :meth:`tick` seeks later."""
        expected: list[TopicPartition] = []
        for sink, own in self._routes.by_sink(partitions):
            if sink.parked is None:
                sink.expect(own)
                expected += own
        # The group's offsets may lie outside the log, which would end the process for all tables.
        return dict.fromkeys(partitions, EARLIEST) | self._place(expected)

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        """Bring in what is buffered before the partitions go."""
        deadline = self._clock() + _FLUSH_TIMEOUT_S
        for sink, _ in self._routes.by_sink(partitions):
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
        for sink, own in self._routes.by_sink(partitions):
            sink.disown(own)

    def process(self, records: Sequence[Record]) -> None:
        """Decode and buffer records."""
        runs: dict[Sink, list[Run]] = defaultdict(list)
        for run in runs_of(records):
            runs[self._routes.of(run.source.topic)].append(run)
        for sink, own in runs.items():
            with self._parked_if_unsafe(sink):
                sink.take(own)

    def tick(self, *, draining: bool) -> None:
        """Send dead letters, commit what is due, all of it while draining, maintain, and place partitions that wait."""
        self._outbox.pump()
        force = draining or self._commit_requested.is_set()
        self._commit_requested.clear()
        for sink in self._routes.tables:
            if sink.held:
                with self._parked_if_unsafe(sink):
                    sink.retry()
            self._step(sink, force=force)
            if not draining:
                self._upkeep.tend(sink.parts.table, leads=sink.leads, free=sink.parts.committer.batch is None)
        if self._clock() >= self._tell_not_before:
            self._tell_not_before = self._clock() + _TELL_EVERY_S
            self._tell_group()
        for sink in self._parking.leaving():
            sink.expect([partition for partition in self._consumer.assignment() if partition.topic in sink.feeds])
        if self._routes.look():
            self._consumer.resubscribe(self._routes.topics)
        if any(sink.waiting for sink in self._routes.tables) and self._clock() >= self._place_not_before:
            waiting = [partition for sink in self._routes.tables for partition in sink.waiting]
            for partition, offset in self._place(waiting).items():
                self._consumer.seek(partition, offset)

    def congested(self) -> bool:
        """Take no more while memory is full, the registry is away, or no table's positions are known."""
        tables = self._routes.tables
        if any(sink.held for sink in tables) or all(sink.waiting or sink.parked for sink in tables):
            return True
        return sum(sink.size_bytes for sink in tables) > self._max_buffered_bytes

    def busy(self) -> bool:
        """Tell whether anything taken is not in its table yet."""
        return any(sink.busy for sink in self._routes.tables)

    def close(self) -> None:
        """Close the dead letters' producer, and wait a moment for what maintenance is doing."""
        self._upkeep.close()
        self._outbox.close()

    def _step(self, sink: Sink, *, force: bool) -> Outcome:
        outcome = Outcome.IDLE
        with self._parked_if_unsafe(sink):
            outcome = sink.step(force=force)
        if outcome not in {Outcome.IDLE, Outcome.WAITING, Outcome.LANDED}:
            _log.warning("commit " + outcome.name.lower(), **sink.info())
        return outcome

    def _place(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Place waiting partitions whose catalog and log answer; return where each is to be read from."""
        starts: dict[TopicPartition, int] = {}
        for sink, own in self._routes.by_sink(partitions):
            with self._parked_if_unsafe(sink):
                try:
                    self._identify(sink, own)
                    stored = sink.locate(own)
                    found = self._starts(stored)
                except UnavailableError as error:
                    self._place_not_before = self._clock() + self._placing.next_s()
                    sink.parts.committer.failure = str(error)
                    _log.warning("positions not known yet", table=sink.parts.table, error=str(error))
                    continue
                sink.place(stored)
                self._placing.reset()
                starts.update(found)
        return starts

    @contextmanager
    def _parked_if_unsafe(self, sink: Sink) -> Iterator[None]:
        try:
            yield
        except UnsafeToWriteError as error:
            self._parking.park(sink, error)

    def _identify(self, sink: Sink, partitions: Collection[TopicPartition]) -> None:
        lives = self._routes.identify()
        for topic in sorted({partition.topic for partition in partitions}):
            if topic not in lives:
                raise RejectedError(f"{topic} was deleted while it was read; start the writer again")
            sink.parts.committer.meet(lives[topic])

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
            accept = Acceptance("loss", f"{name}/{offset}")
            if 0 < offset < begins[partition] and accept not in self._parking.accepted:
                raise UnsafeToWriteError(
                    f"{name}: records {offset} to {begins[partition] - 1} left the log before they were stored. "
                    f"Bring them back; or, to go on without them, accept it: {accept}, or start the writer with "
                    f"'{accept.value}' in its list accepted_losses",
                    accept,
                )
        return {partition: max(offset, begins[partition]) for partition, offset in stored.items()}

    def _tell_group(self) -> None:
        """Commit to the group what the tables hold, without waiting: only lag tools read it."""
        stored = {partition: offset for sink in self._routes.tables for partition, offset in sink.stored().items()}
        try:
            self._consumer.commit(stored, wait=False)
        except UnavailableError as error:
            _log.warning("group offsets not committed", error=str(error))
