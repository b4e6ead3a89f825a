"""One topic on its way into one table: positions, buffer, dead letters, commits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from headgate_runtime.errors import UnavailableError

from headgate_writer.buffer import Buffer
from headgate_writer.commit import Committer, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from headgate_runtime.deadletters import DeadLetters
    from headgate_runtime.records import Record

    from headgate_writer.decode import BatchDecoder, Rejected
    from headgate_writer.metrics import WriterMetrics
    from headgate_writer.outbox import Outbox
    from headgate_writer.policy import CommitPolicy


@dataclass(frozen=True, slots=True)
class SinkParts:
    """What a sink is made of.

    Attributes:
        topic: Topic.
        table: Name of the table.
        decoder: Records to rows.
        letters: Builds dead letters.
        outbox: Sends them.
        committer: Brings batches into the table.
        policy: When to commit.
        event_time: Path of the event time's column; None where the contract names none.
    """

    topic: str
    table: str
    decoder: BatchDecoder
    letters: DeadLetters
    outbox: Outbox
    committer: Committer
    policy: CommitPolicy
    event_time: tuple[str, ...] | None


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
        waiting: Partitions that are assigned and whose position is not known yet.
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
        self.waiting: set[int] = set()
        self._metrics = metrics
        self._clock = clock
        self._clock_ms = clock_ms
        self._next: dict[int, int] = {}
        self._held: list[Record] = []
        self._held_since: float | None = None
        self._waiting_since: float | None = None
        self._buffer: Buffer | None = None
        self._in_flight: _InFlight | None = None

    @property
    def busy(self) -> bool:
        """Tell whether anything taken is not in the table yet."""
        return bool(self._held) or self._buffer is not None or self._in_flight is not None

    @property
    def leads(self) -> bool:
        """Tell whether this replica owns the topic's lowest partition: it maintains the table."""
        return 0 in self._next

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
        """How long the oldest thing that is not done has waited: a record for its table, a partition for its position."""
        begun = [since for since in (self._held_since, self._waiting_since) if since is not None]
        begun += [batch.opened_at for batch in (self._in_flight, self._buffer) if batch is not None]
        return self._clock() - min(begun) if begun else 0.0

    def expect(self, partitions: Collection[int]) -> None:
        """Own partitions from now on; their records are passed over until :meth:`place`."""
        self._wait_for(partitions)

    def locate(self, partitions: Collection[int]) -> dict[int, int]:
        """Look up in the table's head which offset of each partition is to be stored next.

        Raises:
            UnavailableError: The catalog does not answer.
            UnsafeToWriteError: Table and topic no longer fit together.
        """
        stored = self.parts.committer.stored()
        return {partition: stored.get(partition, 0) for partition in partitions}

    def place(self, offsets: Mapping[int, int]) -> None:
        """Take records of these partitions from these offsets on."""
        self._next.update(offsets)
        self._settle(offsets)
        self.parts.committer.failure = None

    def drop(self) -> None:
        """Forget everything that is not in the table; every partition waits for its position again."""
        self.parts.committer.drop()
        self._held = []
        self._held_since = None
        self._buffer = self._in_flight = None
        self._wait_for(self._next)
        self._next.clear()

    def disown(self, partitions: Collection[int]) -> None:
        """Give partitions up; what is not in the table yet is dropped, and others read it again."""
        if self.busy:
            self.drop()
        for partition in partitions:
            self._next.pop(partition, None)
        self._settle(partitions)

    def take(self, records: Sequence[Record]) -> None:
        """Decode and buffer records, dead-letter those that cannot be rows.

        A record below its partition's position, or of a partition without one, is passed over: it was fetched before
        a reposition. Where the registry is needed and away the records are held, and :meth:`retry` decodes them.
        """
        self._held.extend(records)
        self.retry()

    def retry(self) -> None:
        """Decode what is held."""
        fresh = self._held = self._fresh()
        if not fresh:
            self._held_since = None
            return
        self._held_since = self._clock() if self._held_since is None else self._held_since
        try:
            rows, rejected = self.parts.decoder.decode_batch(fresh)
        except UnavailableError as error:
            self.parts.committer.failure = str(error)
            return
        self._held, opened_at, self._held_since = [], self._held_since, None
        buffer = self._buffer = self._buffer or Buffer(opened_at)
        buffer.add(fresh, rows, self._next)
        for reject in rejected:
            self._reject(buffer, reject)

    def step(self, *, force: bool = False) -> Outcome:
        """Close the buffer if it is due, and take the committer one step on.

        Args:
            force: Close it whether due or not.

        Raises:
            UnsafeToWriteError: Table and topic no longer fit together.
        """
        self._close_if_due(force=force)
        batch = self.parts.committer.batch
        outcome = self.parts.committer.advance()
        if outcome not in {Outcome.IDLE, Outcome.WAITING}:
            self._metrics.commits.labels(self.parts.topic, outcome.name.lower()).inc()
        if outcome is Outcome.LANDED and batch is not None:
            self._metrics.files.labels(self.parts.topic).inc(len(batch.written.files) if batch.written else 0)
            self._metrics.file_bytes.labels(self.parts.topic).inc(batch.written.size_bytes if batch.written else 0)
            self._landed(batch.rows)
        elif outcome is Outcome.FENCED:
            self.drop()
        self._gauge()
        return outcome

    def stored(self) -> dict[int, int]:
        """Return the next offset to store of each owned partition, as the head was last seen."""
        seen = self.parts.committer.seen()
        return {partition: seen[partition] for partition in self._next if partition in seen}

    def info(self) -> dict[str, Any]:
        """Describe the sink for /info; safe to call from another thread."""
        head = self.parts.committer.head
        return {
            "topic": self.parts.topic,
            "table": self.parts.table,
            "snapshot_id": head.snapshot_id if head else None,
            "positions": {str(partition): offset for partition, offset in self.parts.committer.seen().items()},
            "failure": self.parts.committer.failure,
        }

    def _wait_for(self, partitions: Collection[int]) -> None:
        self.waiting.update(partitions)
        if self.waiting and self._waiting_since is None:
            self._waiting_since = self._clock()

    def _settle(self, partitions: Collection[int]) -> None:
        self.waiting.difference_update(partitions)
        if not self.waiting:
            self._waiting_since = None

    def _fresh(self) -> list[Record]:
        fresh: list[Record] = []
        upto = dict(self._next)
        for record in self._held:
            expected = upto.get(record.partition)
            if expected is not None and record.offset >= expected:
                upto[record.partition] = record.offset + 1
                fresh.append(record)
        if len(fresh) < len(self._held):
            self._metrics.stale.labels(self.parts.topic).inc(len(self._held) - len(fresh))
        return fresh

    def _reject(self, buffer: Buffer, reject: Rejected) -> None:
        letter = self.parts.letters.record(
            reject.record,
            cause=reject.cause,
            message=reject.message,
            field=reject.field,
            rule=reject.rule,
            schema_id=reject.schema_id,
        )
        self.parts.outbox.put(letter, buffer.receipts)
        self._metrics.dead_letters.labels(self.parts.topic, reject.cause).inc()

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

    def _landed(self, rows: pa.Table) -> None:
        told, self._in_flight = self._in_flight, None
        if told is None:
            return
        topic, now_ms = self.parts.topic, float(self._clock_ms())
        self._metrics.rows.labels(topic).inc(rows.num_rows)
        self._metrics.commit_s.labels(topic).observe(self._clock() - told.closed_at)
        self._metrics.freshness.observe((topic, "broker"), _ages_s(told.broker_ms, now_ms, 1e3))
        if self.parts.event_time and rows.num_rows:
            column: Any = rows.column(self.parts.event_time[0])
            for name in self.parts.event_time[1:]:
                column = pc.struct_field(column, name)
            self._metrics.freshness.observe((topic, "event"), _ages_s(pc.cast(column, pa.int64()), now_ms, 1e6))

    def _gauge(self) -> None:
        topic = self.parts.topic
        records = (self._buffer.records if self._buffer else 0) + (self._in_flight.records if self._in_flight else 0)
        self._metrics.buffered.labels(topic).set(records)
        self._metrics.buffered_bytes.labels(topic).set(self.size_bytes)
        self._metrics.uncommitted_age_s.labels(topic).set(self.stalled_s)


def _ages_s(instants: pa.ChunkedArray, now_ms: float, unit_per_s: float) -> pa.ChunkedArray:
    return pc.subtract(now_ms / 1e3, pc.divide(pc.cast(instants, pa.float64()), unit_per_s))
