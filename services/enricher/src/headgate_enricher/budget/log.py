"""The ledger on Kafka: one thread follows the log, and whoever asked hears there how the log decided."""

from __future__ import annotations

import threading
import time
import uuid
import zlib
from collections import deque
from concurrent.futures import Future
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, TypeVar

import structlog
from headgate_runtime.closing import closing
from headgate_runtime.errors import HeadgateError, UnavailableError
from headgate_runtime.records import OutgoingRecord

from headgate_enricher.budget.follower import BATCH, Follower, Tail
from headgate_enricher.budget.ledger import Amount, Ledger, Reserve, SetLimits, Settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.kafka.protocols import RecordProducer
    from headgate_runtime.records import TopicPartition

    from headgate_enricher.budget.entries import Entry, EntryCodec
    from headgate_enricher.budget.limits import LimitTable
    from headgate_enricher.budget.metrics import BudgetMetrics

POLL_S = 0.05
RETRY_S = 1.0
SHOW_S = 1.0
CHECKPOINT_S = 6 * 3600.0  # without traffic: limits outlive the topic's retention
STOP_TIMEOUT_S = 15.0
LOG_INTERVAL_S = 10.0

Looked = TypeVar("Looked")

logger = structlog.get_logger(__name__)


class BudgetUnavailableError(UnavailableError):
    """The ledger did not say in time whether a call may be paid: it may not."""


class BudgetLog:
    """Writes entries and follows the log they end up in.

    Nothing is granted before the whole log is applied and the configuration's limits are in it: what is asked for
    earlier waits. Safe to use from several threads.

    Args:
        place: The ledger's partition.
        open_tail: Makes a reader of it.
        producer: Writes it.
        codec: Entries to bytes and back.
        replica: This replica's name.
        configured: The configuration's limits; None leaves those that are there.
        checkpoint_entries: Entries between two checkpoints, about.
        metrics: Metrics of the budget.
    """

    def __init__(
        self,
        *,
        place: TopicPartition,
        open_tail: Callable[[], Tail],
        producer: RecordProducer,
        codec: EntryCodec,
        replica: str,
        configured: LimitTable | None,
        checkpoint_entries: int,
        metrics: BudgetMetrics,
    ) -> None:
        self._place = place
        self._open_tail = open_tail
        self._producer = producer
        self._codec = codec
        self._configured = configured
        # Replicas count alike; each waits a little longer than the one before, so that mostly one writes.
        self._spacing = checkpoint_entries + zlib.crc32(replica.encode()) % (checkpoint_entries // 5)
        self._metrics = metrics
        self._ours = f"{replica}.{uuid.uuid4().hex[:8]}."
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._follower: Follower | None = None
        self._open = False
        self._waiting: dict[str, Future[bool]] = {}
        self._held: list[Reserve] = []
        self._again: deque[Settle] = deque()
        self._fault: str | None = "the budget ledger is being read"
        self._checkpoint_due_s = time.monotonic() + CHECKPOINT_S
        self._show_due_s = self._log_due_s = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="budget", daemon=True)

    def start(self) -> None:
        """Start to follow."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and let what is queued leave."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)
        self._producer.close()

    def why_not_ready(self) -> str | None:
        """Why no reservation can be granted now, None where one can."""
        return self._fault

    def new_id(self) -> str:
        """An id that no entry has."""
        return f"{self._ours}{next(self._numbers)}"

    def fits(self, entry: Reserve) -> bool:
        """Say whether it is worth asking: False where the ledger as known here would refuse."""
        with self._lock:
            return self._follower is None or self._follower.ledger.fits(entry, _now_ms())

    def grant_unlimited(self, entry: Reserve) -> bool:
        """Grant a reservation that no limit touches, without waiting for the log, where it is written all the same.

        A limit that was set a moment ago counts the calls that were granted so meanwhile.
        """
        with self._lock:
            unlimited = self._open and self._follower is not None and self._follower.ledger.limits_none(entry)
        if unlimited:
            self._send(entry)
        return unlimited

    def ask(self, entry: Reserve | SetLimits) -> Future[bool]:
        """Write an entry; the future says whether the log has granted it.

        Its exception is ``BudgetUnavailableError`` where the brokers did not take the entry. Cancel it to withdraw the
        entry: a reservation that is granted nevertheless is given back.
        """
        answer: Future[bool] = Future()
        with self._lock:
            self._waiting[entry.id] = answer
            if not self._open and isinstance(entry, Reserve):
                self._held.append(entry)
                return answer
        self._send(entry)
        return answer

    def settle(self, entry: Settle) -> None:
        """Write what a granted reservation has used; never waits. What cannot be sent now is sent later."""
        self._send(entry)

    def read(self, look: Callable[[Ledger, int], Looked]) -> Looked:
        """Look at the ledger as of now.

        Raises:
            BudgetUnavailableError: It is not read yet.
        """
        with self._lock:
            if self._follower is None:
                raise BudgetUnavailableError(self._fault or "the budget ledger is being read")
            return look(self._follower.ledger, _now_ms())

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except Exception as error:
                with self._lock:
                    self._follower, self._open = None, False
                    self._fault = f"the budget ledger cannot be followed: {error}"
                logger.exception("budget ledger lost, reading it anew", kind=type(error).__name__)
                self._stopping.wait(RETRY_S)

    def _follow(self) -> None:
        tail = self._open_tail()
        with closing(tail.close, "budget ledger"):
            follower = Follower(self._codec, self._ours)
            outcomes = follower.catch_up(tail, self._stopping.is_set)
            with self._lock:
                self._follower = follower
                # A checkpoint may stand in for the entry that would have told who waits.
                outcomes += [(entry_id, True) for entry_id in self._waiting if follower.ledger.holds(entry_id)]
            self._deliver(outcomes)
            logger.info("budget ledger read", offset=follower.offset, limits=len(follower.ledger.limits.table))
            proposal = self._propose(follower)
            while not self._stopping.is_set():
                self._producer.poll()
                self._advance(follower, tail)
                if not self._open and (proposal is None or proposal.done()):
                    # A proposal the brokers did not take is made again.
                    proposal = self._propose(follower)
                    if proposal is None:
                        self._grant_from_now()

    def _propose(self, follower: Follower) -> Future[bool] | None:
        """Put the configuration's limits into the log, unless they are the last that a configuration put there."""
        if self._configured is None or follower.ledger.proposed == self._configured:
            return None
        return self.ask(SetLimits(self.new_id(), self._configured, proposed=True))

    def _grant_from_now(self) -> None:
        with self._lock:
            self._open, self._fault = True, None
            held, self._held = self._held, []
        for entry in held:
            self._send(entry)

    def _advance(self, follower: Follower, tail: Tail) -> None:
        if records := tail.poll(BATCH, POLL_S):
            with self._lock:
                outcomes = follower.apply(records)
            self._deliver(outcomes)
        for _ in range(len(self._again)):
            self._send(self._again.popleft())
        now_s = time.monotonic()
        if follower.since_checkpoint >= self._spacing or now_s >= self._checkpoint_due_s:
            follower.since_checkpoint, self._checkpoint_due_s = 0, now_s + CHECKPOINT_S
            self._send(follower.checkpoint(self.new_id()))
        if now_s >= self._show_due_s:
            self._show_due_s = now_s + SHOW_S
            with self._lock:
                self._metrics.show(follower.ledger, _now_ms(), follower.unreadable)

    def _deliver(self, outcomes: list[tuple[str, bool]]) -> None:
        for entry_id, granted in outcomes:
            with self._lock:
                answer = self._waiting.pop(entry_id, None)
            if answer is None:
                continue
            if answer.set_running_or_notify_cancel():
                answer.set_result(granted)
            elif granted:
                self._send(Settle(entry_id, Amount()))

    def _send(self, entry: Entry) -> None:
        value = self._codec.encode(entry)
        record = OutgoingRecord(self._place.topic, None, value, partition=self._place.partition)
        try:
            self._producer.send(record, partial(self._sent, entry))
        except HeadgateError as error:
            self._sent(entry, error)

    def _sent(self, entry: Entry, error: HeadgateError | None) -> None:
        if error is None:
            return
        now_s = time.monotonic()
        if now_s >= self._log_due_s:
            self._log_due_s = now_s + LOG_INTERVAL_S
            logger.warning("budget entry not written", error=str(error), kind=type(entry).__name__)
        if isinstance(entry, Settle):
            self._again.append(entry)
            return
        with self._lock:
            answer = self._waiting.pop(entry.id, None)
        if answer is not None and answer.set_running_or_notify_cancel():
            answer.set_exception(BudgetUnavailableError(f"the budget ledger cannot be written: {error}"))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
