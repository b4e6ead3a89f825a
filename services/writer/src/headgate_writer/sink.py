"""One or more topics on their way into one table: positions, buffer, dead letters, commits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from headgate_runtime.errors import UnavailableError
from headgate_runtime.records import TopicPartition

from headgate_writer.buffer import Buffer
from headgate_writer.commit import Batch, Committer, Outcome
from headgate_writer.landed import Landed
from headgate_writer.runs import Run, records_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from headgate_writer.decode import Rejected
    from headgate_writer.errors import UnsafeToWriteError
    from headgate_writer.feed import Feed
    from headgate_writer.landed import OnLanded
    from headgate_writer.metrics import WriterMetrics
    from headgate_writer.outbox import Outbox
    from headgate_writer.policy import CommitPolicy
    from headgate_writer.quality import Quality
    from headgate_writer.table import Table


@dataclass(frozen=True, slots=True)
class SinkParts:
    """What a sink is made of.

    Attributes:
        table: Name of the table.
        outbox: Sends dead letters.
        committer: Brings batches into the table.
        reopen: Opens the table anew, where it was dropped or replaced and a person lets that pass.
        policy: When to commit.
        event_time: Path of the event time's column; None where the contract names none.
        quality: Judges the rows of each commit; None where the contract expects nothing.
        on_landed: Is told of each commit, and neither waits nor fails; None where nobody listens.
    """

    table: str
    outbox: Outbox
    committer: Committer
    reopen: Callable[[], Table]
    policy: CommitPolicy
    event_time: tuple[str, ...] | None
    quality: Quality | None = None
    on_landed: OnLanded | None = None


@dataclass(slots=True)
class _InFlight:
    """What is to be told of the committer's batch once it lands."""

    opened_at: float
    closed_at: float
    records: int
    size_bytes: int
    broker_ms: pa.ChunkedArray


class Sink:
    """Takes records of the partitions it was placed on, and only those that come next.

    Attributes:
        parts: What it is made of.
        feeds: The table's topics, by name.
        waiting: Partitions that are assigned and whose position is not known yet.
        parked: Why it is not safe to write, None where it is; records are passed over meanwhile.
    """

    def __init__(
        self,
        parts: SinkParts,
        metrics: WriterMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.parts = parts
        self.feeds: dict[str, Feed] = {}
        self.waiting: set[TopicPartition] = set()
        self.parked: UnsafeToWriteError | None = None
        self._metrics = metrics
        self._clock = clock
        self._clock_ms = clock_ms
        self._next: dict[TopicPartition, int] = {}
        self._held: dict[str, list[Run]] = {}
        self._held_since: float | None = None
        self._waiting_since: float | None = None
        self._parked_since: float | None = None
        self._buffer: Buffer | None = None
        self._in_flight: _InFlight | None = None

    @property
    def busy(self) -> bool:
        """Tell whether anything taken is not in the table yet."""
        return bool(self._held) or self._buffer is not None or self._in_flight is not None

    @property
    def leads(self) -> bool:
        """Tell whether this replica owns the first partition of the table's first topic: it maintains the table."""
        return TopicPartition(min(self.feeds, default=""), 0) in self._next

    @property
    def held(self) -> bool:
        """Tell whether records wait to be decoded because the registry is away."""
        return bool(self._held)

    @property
    def size_bytes(self) -> int:
        """Bytes decoded and not in the table yet."""
        return (self._buffer.size_bytes if self._buffer else 0) + (self._in_flight.size_bytes if self._in_flight else 0)

    @property
    def stalled_s(self) -> float:
        """How long the oldest thing not done has waited: record for table, partition for position, table for a person."""
        parked_since = self._parked_since if self.parked else None
        begun = [since for since in (self._held_since, self._waiting_since, parked_since) if since is not None]
        begun += [batch.opened_at for batch in (self._in_flight, self._buffer) if batch is not None]
        return self._clock() - min(begun) if begun else 0.0

    def expect(self, partitions: Collection[TopicPartition]) -> None:
        """Own partitions from now on, parked no longer; their records are passed over until :meth:`place`."""
        self.parked = None
        self._parked_since = self._parked_since if partitions else None
        self._wait_for(partitions)

    def locate(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Look up in the table's head which offset of each partition is to be stored next.

        Raises:
            UnavailableError: The catalog does not answer.
            UnsafeToWriteError: Table and topics no longer fit together.
        """
        stored = self.parts.committer.stored()
        return {partition: stored.get(partition, 0) for partition in partitions}

    def place(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Take records of these partitions from these offsets on."""
        self._next.update(offsets)
        self._settle(offsets)
        self._parked_since = None
        self.parts.committer.failure = None

    def drop(self) -> None:
        """Forget everything that is not in the table; every partition waits for its position again."""
        self.parts.committer.drop()
        self._held = {}
        self._held_since = None
        self._buffer = self._in_flight = None
        self._wait_for(self._next)
        self._next.clear()

    def park(self, error: UnsafeToWriteError) -> None:
        """Take nothing until :meth:`expect` says otherwise."""
        self.drop()
        self._settle(list(self.waiting))
        self.parked = error
        self._parked_since = self._clock() if self._parked_since is None else self._parked_since

    def disown(self, partitions: Collection[TopicPartition]) -> None:
        """Give partitions up; what is not in the table yet is dropped, and others read it again."""
        if self.busy:
            self.drop()
        for partition in partitions:
            self._next.pop(partition, None)
        self._settle(partitions)

    def take(self, runs: Sequence[Run]) -> None:
        """Decode and buffer records.

        A record below its partition's position, or of a partition without one, is passed over: it was fetched before
        a reposition. Where the registry is needed and away the records are held, and :meth:`retry` decodes them.
        """
        for run in runs:
            self._held.setdefault(run.source.topic, []).append(run)
        self.retry()

    def retry(self) -> None:
        """Decode what is held."""
        self._held_since = self._clock() if self._held_since is None else self._held_since
        for topic, runs in list(self._held.items()):
            fresh = self._held[topic] = self._fresh(runs)
            try:
                if fresh:
                    self._decode(self.feeds[topic], fresh, self._held_since)
            except UnavailableError as error:
                self.parts.committer.failure = str(error)
            else:
                del self._held[topic]
        if not self._held:
            self._held_since = None

    def step(self, *, force: bool = False) -> Outcome:
        """Close the buffer if it is due, and take the committer one step on.

        Args:
            force: Close it whether due or not.

        Raises:
            UnsafeToWriteError: Table and topics no longer fit together.
        """
        self._close_if_due(force=force)
        batch = self.parts.committer.batch
        outcome = self.parts.committer.advance()
        if outcome not in {Outcome.IDLE, Outcome.WAITING}:
            self._metrics.commits.labels(self.parts.table, outcome.name.lower()).inc()
        if outcome is Outcome.LANDED and batch is not None:
            self._metrics.files.labels(self.parts.table).inc(len(batch.written.files) if batch.written else 0)
            self._metrics.file_bytes.labels(self.parts.table).inc(batch.written.size_bytes if batch.written else 0)
            self._tell(batch)
            self._landed(batch.rows)
        elif outcome is Outcome.FENCED:
            self.drop()
        self._gauge()
        return outcome

    def stored(self) -> dict[TopicPartition, int]:
        """Return the next offset to store of each owned partition, as the head was last seen."""
        seen = self.parts.committer.seen()
        return {partition: seen[partition] for partition in self._next if partition in seen}

    def info(self) -> dict[str, Any]:
        """Describe the sink for /info; safe to call from another thread."""
        head, seen, parked = self.parts.committer.head, self.parts.committer.seen(), self.parked
        return {
            "table": self.parts.table,
            "topics": list(self.feeds),
            "snapshot_id": head.snapshot_id if head else None,
            "positions": {f"{source.topic}/{source.partition}": offset for source, offset in seen.items()},
            "failure": self.parts.committer.failure,
            "parked": parked and {"reason": str(parked), "accept": parked.accept and parked.accept.body},
        }

    def _wait_for(self, partitions: Collection[TopicPartition]) -> None:
        self.waiting.update(partitions)
        if self.waiting and self._waiting_since is None:
            self._waiting_since = self._clock()

    def _settle(self, partitions: Collection[TopicPartition]) -> None:
        self.waiting.difference_update(partitions)
        if not self.waiting:
            self._waiting_since = None

    def _fresh(self, runs: Sequence[Run]) -> list[Run]:
        """Return the runs without what was taken before and what has no position yet."""
        fresh: list[Run] = []
        upto = dict(self._next)
        for run in runs:
            expected = upto.get(run.source)
            records = run.since(expected) if expected is not None else ()
            if passed := len(run.records) - len(records):
                self._metrics.stale.labels(run.source.topic).inc(passed)
            if records:
                fresh.append(Run(run.source, records))
                upto[run.source] = fresh[-1].end
        return fresh

    def _decode(self, feed: Feed, runs: Sequence[Run], opened_at: float) -> None:
        rows, rejected = feed.decode(records_of(runs))
        buffer = self._buffer = self._buffer or Buffer(opened_at)
        buffer.add(runs, rows, self._next)
        for reject in rejected:
            self._reject(buffer, reject)

    def _reject(self, buffer: Buffer, reject: Rejected) -> None:
        feed = self.feeds[reject.record.topic]
        if not feed.in_place:
            self.parts.outbox.put(feed.letter(reject), buffer.receipts)
        self._metrics.dead_letters.labels(feed.topic, reject.cause).inc()

    def _close_if_due(self, *, force: bool) -> None:
        buffer = self._buffer
        if buffer is None or self.parts.committer.batch is not None:
            return
        age_s = self._clock() - buffer.opened_at
        if force or self.parts.policy.due(rows=buffer.records, size_bytes=buffer.size_bytes, age_s=age_s):
            batch, broker_ms = buffer.close()
            self.parts.committer.submit(batch)
            self._in_flight = _InFlight(buffer.opened_at, self._clock(), buffer.records, buffer.size_bytes, broker_ms)
            self._buffer = None

    def _tell(self, batch: Batch) -> None:
        head, told = self.parts.committer.head, self._in_flight
        if self.parts.on_landed is None or told is None or head is None or head.snapshot_id is None:
            return
        now_ms = self._clock_ms()
        self.parts.on_landed(
            Landed(
                table=self.parts.table,
                snapshot_id=head.snapshot_id,
                starts=batch.starts,
                ends=batch.ends,
                schema=batch.rows.schema,
                rows=batch.rows.num_rows,
                files=len(batch.written.files) if batch.written else 0,
                size_bytes=batch.written.size_bytes if batch.written else 0,
                began_ms=now_ms - round(1000 * (self._clock() - told.opened_at)),
                landed_ms=now_ms,
            ),
        )

    def _landed(self, rows: pa.Table) -> None:
        told, self._in_flight = self._in_flight, None
        if told is None:
            return
        table, now_ms = self.parts.table, float(self._clock_ms())
        self._metrics.rows.labels(table).inc(rows.num_rows)
        self._metrics.commit_s.labels(table).observe(self._clock() - told.closed_at)
        self._metrics.freshness.observe((table, "broker"), _ages_s(told.broker_ms, now_ms, 1e3))
        if self.parts.event_time and rows.num_rows:
            column: Any = rows.column(self.parts.event_time[0])
            for name in self.parts.event_time[1:]:
                column = pc.struct_field(column, name)
            self._metrics.freshness.observe((table, "event"), _ages_s(pc.cast(column, pa.int64()), now_ms, 1e6))
        if self.parts.quality:
            self.parts.quality.observe(rows, now_ms)

    def _gauge(self) -> None:
        table = self.parts.table
        records = (self._buffer.records if self._buffer else 0) + (self._in_flight.records if self._in_flight else 0)
        self._metrics.buffered.labels(table).set(records)
        self._metrics.buffered_bytes.labels(table).set(self.size_bytes)
        self._metrics.uncommitted_age_s.labels(table).set(self.stalled_s)
        self._metrics.parked.labels(table).set(self.parked is not None)


def _ages_s(instants: pa.ChunkedArray, now_ms: float, unit_per_s: float) -> pa.ChunkedArray:
    return pc.subtract(now_ms / 1e3, pc.divide(pc.cast(instants, pa.float64()), unit_per_s))
