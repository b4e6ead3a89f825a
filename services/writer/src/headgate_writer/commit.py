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

from headgate_writer.errors import ConflictError, UnknownOutcomeError, UnsafeToWriteError
from headgate_writer.outbox import Receipts
from headgate_writer.positions import PROPERTY, Incarnation

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    import pyarrow as pa

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

    starts: Mapping[int, int]
    ends: Mapping[int, int]
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
    """Brings batches of one topic into one table. Not thread-safe: every call is made on the loop's thread.

    Attributes:
        head: The head as last seen, None before the first look.
        failure: Why the last step did not succeed, None when it did.
    """

    def __init__(
        self,
        table: Table,
        incarnation: Incarnation,
        *,
        clock: Callable[[], float],
        rng: random.Random,
        accepted: bool = False,
        files_hold_s: float = math.inf,
    ) -> None:
        """Build the committer.

        Args:
            table: Where batches go.
            incarnation: The topic they come from.
            clock: Monotonic seconds.
            rng: Jitter of the back-off.
            accepted: The operator lets this incarnation start over.
            files_hold_s: Seconds after which files that are not committed yet are written anew, because maintenance
                may take them for orphans.
        """
        self.head: Head | None = None
        self.failure: str | None = None
        self._table = table
        self._incarnation = incarnation
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

    def seen(self) -> Mapping[int, int]:
        """Return the next offset to store of each partition that has rows, as the head was last seen."""
        if self.head is None or self.head.positions is None:
            return {}
        return self.head.positions.of(self._incarnation, accepted=self._accepted)

    def stored(self) -> Mapping[int, int]:
        """Look at the head now and return the next offset to store of each partition that has rows.

        Raises:
            UnavailableError: The catalog does not answer.
            UnsafeToWriteError: Table and topic no longer fit together.
        """
        head = self._table.refresh()
        if head.positions is None:
            raise UnsafeToWriteError(
                f"the table has snapshots and none of them carries {PROPERTY}: it is not known which offsets its "
                "rows came from, and starting at the beginning would double them. Roll back to a snapshot that "
                "carries it, or drop the table so that it is built again from the topic",
            )
        stored = head.positions.of(self._incarnation, accepted=self._accepted)
        self.head = head
        return stored

    def require_same(self, now: Incarnation) -> None:
        """Refuse to go on when the topic was created again under the running writer.

        Raises:
            UnsafeToWriteError: It was.
        """
        if now != self._incarnation:
            raise UnsafeToWriteError(
                f"{self._incarnation} was created again as {now} while it was read. Restart the writer, which says "
                "how to go on",
            )

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
        self.head = self._table.commit(head, batch.written, head.positions.advanced(self._incarnation, batch.ends))
        return Outcome.LANDED

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
