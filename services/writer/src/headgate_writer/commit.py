"""Exactly once, as a state machine: one batch at a time, by compare and swap, whatever becomes of the answer.

The table is the only truth. A batch knows where its partitions stood when it began; it may land only while the head
still says so, and head and positions move in one commit. Hence a batch that another writer has overtaken cannot land,
a batch whose answer was lost is found in the head, and files are never deleted here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from headgate_runtime.errors import UnavailableError
from headgate_runtime.records import TopicPartition

from headgate_writer.errors import Acceptance, ConflictError, UnknownOutcomeError, UnsafeToWriteError
from headgate_writer.outbox import Receipts
from headgate_writer.positions import PROPERTY

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Mapping

    import pyarrow as pa

    from headgate_writer.positions import Incarnation, Positions
    from headgate_writer.table import Head, Table, Written


class Outcome(Enum):
    """What one step of the committer came to."""

    IDLE = auto()  # no batch
    WAITING = auto()  # backing off, or dead letters are not acknowledged yet
    LANDED = auto()  # the batch is in the table; the committer is free
    FENCED = auto()  # another writer has moved these partitions; the batch is dropped
    CONFLICT = auto()  # somebody committed in between; tried again with the same files
    UNKNOWN = auto()  # no answer; the head will tell
    UNAVAILABLE = auto()  # catalog or store away; nothing was sent


@dataclass(slots=True)
class Batch:
    """Consumed records on their way into the table.

    Attributes:
        starts: Next offset by partition before the batch.
        ends: Next offset by partition after it, the same partitions.
        rows: Decoded rows, in the table's Arrow schema.
        receipts: Acknowledgements of the dead letters of the same offset ranges.
        written: The rows as data files, once written.
        layout: The table's layout the files were written for.
        written_at: Clock when they were written, seconds.
        unanswered: A commit of it was sent and no answer came.
    """

    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    rows: pa.Table
    receipts: Receipts = field(default_factory=Receipts)
    written: Written | None = None
    layout: tuple[int, int] | None = None
    written_at: float = 0.0
    unanswered: bool = False


class Backoff:
    """Waiting times that double up to a limit, with full jitter so that replicas do not meet again."""

    def __init__(self, first_s: float, limit_s: float, rng: random.Random) -> None:
        self._first_s = first_s
        self._limit_s = limit_s
        self._rng = rng
        self._attempt = 0

    def next_s(self) -> float:
        """Return how long to wait now, seconds."""
        ceiling = min(self._limit_s, self._first_s * 2.0 ** min(self._attempt, 32))
        self._attempt += 1
        return self._rng.uniform(ceiling / 2, ceiling)

    def reset(self) -> None:
        """Start again from the first wait."""
        self._attempt = 0


class Committer:
    """Brings batches of a table's topics into it. Not thread-safe: every call is made on the loop's thread.

    Attributes:
        head: The head as last seen, None before the first look.
        failure: Why the last step did not succeed, None when it did.
    """

    def __init__(
        self,
        table: Table,
        *,
        clock: Callable[[], float],
        rng: random.Random,
        accepted: Collection[Acceptance] = (),
        files_hold_s: float = math.inf,
    ) -> None:
        """Build the committer.

        Args:
            table: Where batches go.
            clock: Monotonic seconds.
            rng: Jitter of the back-off.
            accepted: What the operator lets pass; incarnations of topics that may start over count here.
            files_hold_s: Seconds after which files that are not committed yet are written anew, because maintenance
                may take them for orphans.
        """
        self.head: Head | None = None
        self.failure: str | None = None
        self._table = table
        self._lives: dict[str, Incarnation] = {}
        self._accepted = accepted
        self._files_hold_s = files_hold_s
        self._clock = clock
        self._conflicts = Backoff(0.005, 0.5, rng)
        self._outages = Backoff(0.2, 10.0, rng)
        self._batch: Batch | None = None
        self._not_before = 0.0

    @property
    def batch(self) -> Batch | None:
        """The batch on its way, None when the committer is free."""
        return self._batch

    def meet(self, life: Incarnation) -> None:
        """Take batches of this life of a topic from now on.

        Raises:
            UnsafeToWriteError: The topic was created again under the running writer.
        """
        known = self._lives.get(life.topic, life)
        if life != known and not self._accepts(life):
            accept = Acceptance("incarnation", str(life))
            raise UnsafeToWriteError(
                f"{known} was created again as {life} while it was read, so stored offsets mean nothing there. To store "
                f"the new one from its start beside the rows that are there, accept it: {accept}",
                accept,
            )
        self._lives[life.topic] = life

    def widen(self, schema: pa.Schema) -> None:
        """Give the table the columns of a schema that it lacks; see the table's protocol for errors."""
        self._table.widen(schema)

    def go_on_into(self, table: Table) -> None:
        """Take another table in place of this one, from the positions stored there."""
        self._table = table

    def seen(self) -> Mapping[TopicPartition, int]:
        """Return the next offset to store of each partition that has rows, as the head was last seen."""
        if self.head is None or self.head.positions is None:
            return {}
        topics = self.head.positions.topics
        return {
            TopicPartition(life.topic, partition): offset
            for life in list(self._lives.values())
            for partition, offset in topics.get(life, {}).items()
        }

    def stored(self) -> Mapping[TopicPartition, int]:
        """Look at the head now and return the next offset to store of each partition that has rows.

        Raises:
            UnavailableError: The catalog does not answer.
            UnsafeToWriteError: Table and topics no longer fit together.
        """
        head = self._table.refresh()
        if head.positions is None:
            raise UnsafeToWriteError(
                f"the table has snapshots and none of them carries {PROPERTY}: it is not known which offsets its "
                "rows came from, and starting at the beginning would double them. Roll back to a snapshot that "
                "carries it, or drop the table so that it is built again from its topics",
            )
        for life in self._lives.values():
            head.positions.of(life, accepted=self._accepts(life))
        self.head = head
        return self.seen()

    def submit(self, batch: Batch) -> None:
        """Take a batch; the committer must be free."""
        if self._batch is not None:
            raise RuntimeError("a batch is on its way already")
        self._batch = batch

    def drop(self) -> None:
        """Forget the batch. Had it landed after all, the head will say so to whoever looks next."""
        self._batch = None
        self._not_before = 0.0

    def advance(self) -> Outcome:
        """Take one step with the batch; blocks for as long as store and catalog take, never to back off.

        Raises:
            UnsafeToWriteError: Table and topic no longer fit together.
        """
        batch = self._batch
        if batch is None:
            return Outcome.IDLE
        if self._clock() < self._not_before or not batch.receipts.settled:
            return Outcome.WAITING
        try:
            return self._finish(self._try(batch))
        except ConflictError as error:
            return self._again(Outcome.CONFLICT, self._conflicts, error)
        except UnknownOutcomeError as error:
            batch.unanswered = True
            return self._again(Outcome.UNKNOWN, self._outages, error)
        except UnavailableError as error:
            return self._again(Outcome.UNAVAILABLE, self._outages, error)

    def _try(self, batch: Batch) -> Outcome:
        stored = self.stored()
        mine = {partition: stored.get(partition, 0) for partition in batch.ends}
        if mine != batch.starts:
            # The same ends can be another writer's work too; what was never sent, or was refused, is not ours.
            return Outcome.LANDED if batch.unanswered and mine == batch.ends else Outcome.FENCED
        head = self.head
        if head is None or head.positions is None:
            raise RuntimeError("the head was not looked at")
        outlived = self._clock() - batch.written_at > self._files_hold_s
        if batch.written is None or batch.layout != head.layout or outlived:
            batch.written_at = self._clock()
            batch.written, batch.layout = self._table.write(batch.rows), head.layout
        self.head = self._table.commit(head, batch.written, self._advanced(head.positions, batch.ends))
        return Outcome.LANDED

    def _accepts(self, life: Incarnation) -> bool:
        return Acceptance("incarnation", str(life)) in self._accepted

    def _advanced(self, positions: Positions, ends: Mapping[TopicPartition, int]) -> Positions:
        for topic in sorted({partition.topic for partition in ends}):
            own = {partition.partition: end for partition, end in ends.items() if partition.topic == topic}
            positions = positions.advanced(self._lives[topic], own)
        return positions

    def _finish(self, outcome: Outcome) -> Outcome:
        self.drop()
        self.failure = None
        self._conflicts.reset()
        self._outages.reset()
        return outcome

    def _again(self, outcome: Outcome, backoff: Backoff, error: Exception) -> Outcome:
        self._not_before = self._clock() + backoff.next_s()
        self.failure = str(error)
        return outcome
