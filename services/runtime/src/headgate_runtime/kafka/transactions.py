"""The transactional producer over confluent-kafka."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as ClientPartition

from headgate_runtime.errors import BackpressureError, FencedError, HeadgateError, InDoubtError
from headgate_runtime.kafka.client import ClientContext
from headgate_runtime.kafka.producer import FIXED, PREFERENCES, produce

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import OutgoingRecord, TopicPartition

_ARRIVAL_S: Final = 5.0
_SETTLE_TIMEOUT_S: Final = 5.0


def settle(settings: KafkaSettings, transactional_id: str) -> None:
    """End the transaction that a killed holder of a transactional id left open: readers wait for it, all of them.

    Raises:
        UnavailableError: The transaction coordinator does not answer.
        RejectedError: This client may not use the transactional id.
    """
    KafkaTransactionalProducer(settings, transactional_id=transactional_id, timeout_s=_SETTLE_TIMEOUT_S).close()


class KafkaTransactionalProducer:
    """A ``TransactionalProducer`` of real brokers; making one fences the last that had the transactional id."""

    def __init__(self, settings: KafkaSettings, *, transactional_id: str, timeout_s: float = 30.0) -> None:
        """Take over the transactional id, and finish what its last holder left open.

        Args:
            settings: How to reach the brokers.
            transactional_id: Stable name of this replica's transactions.
            timeout_s: Longest a call may take; the broker aborts a transaction open for twice as long.

        Raises:
            UnavailableError: The transaction coordinator does not answer.
            RejectedError: This client may not use the transactional id.
        """
        self._context = ClientContext(settings)
        self._timeout_s = timeout_s
        own = PREFERENCES | {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": int(timeout_s * 2000),
            "delivery.report.only.error": True,
        }
        fixed = (*FIXED, "transactional.id", "delivery.report.only.error")
        self._producer = self._context.make(Producer, own, fixed=fixed)
        self._failure: HeadgateError | None = None
        self._open = False
        self._sound = True  # until an error says that the transaction can only be aborted
        self._undecided = False
        self._retry("take over the transactional id", self._producer.init_transactions)

    def begin(self) -> None:
        """Open a transaction."""
        self._call("begin a transaction", self._producer.begin_transaction)
        self._failure = None
        self._open = self._sound = True

    def send(self, record: OutgoingRecord) -> None:
        """Add a record to the open transaction; waits while the queue is full."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._call("send", lambda: produce(self._producer, record, self._delivered))
            except BufferError as error:
                if time.monotonic() > deadline:
                    raise BackpressureError("the producer's queue stays full: the brokers take nothing") from error
                self._producer.poll(0.05)

    def commit(self, offsets: Mapping[TopicPartition, int], group: object) -> None:
        """Flush, move the group's offsets, make it all visible; see ``TransactionalProducer``."""
        if offsets:
            wanted = [ClientPartition(*partition, offset) for partition, offset in offsets.items()]
            self._retry(
                "add offsets to the transaction",
                lambda timeout_s: self._producer.send_offsets_to_transaction(wanted, group, timeout_s),
            )
        self._producer.poll(0)
        if self._failure is not None:
            raise self._failure
        self._undecided = True
        self._retry("commit the transaction", self._producer.commit_transaction)
        self._undecided = self._open = False

    def abort(self) -> None:
        """Drop the open transaction; does nothing where none is open."""
        if not self._open:
            return
        if self._sound and self._failure is None:
            # The coordinator refuses, fatally, to end a transaction it has not heard of: let the records arrive first.
            self._producer.flush(_ARRIVAL_S)
        self._retry("abort the transaction", self._producer.abort_transaction)
        self._open = False

    def close(self) -> None:
        """Abort what is open and let go of the connection."""
        self.abort()

    def _retry(self, action: str, call: Callable[[float], None]) -> None:
        """Repeat a call that may be repeated as it is, until the time-out."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return call(max(0.1, deadline - time.monotonic()))
            except KafkaException as error:
                fault = error.args[0]
                self._sound &= not fault.txn_requires_abort()
                self._undecided &= not fault.txn_requires_abort()
                with suppress(KafkaException):  # it says a fatal fault once more
                    self._producer.poll(0)  # runs the callback that takes note of a refusal
                if not fault.retriable() or time.monotonic() >= deadline:
                    raise self._meaning(error, action) from error

    def _meaning(self, error: KafkaException, action: str) -> HeadgateError:
        meaning = self._context.translate(self._fatal_cause(error), action)
        if self._undecided and not isinstance(meaning, FencedError):
            return InDoubtError(f"cannot tell whether the transaction was committed: {error}. Start clean to find out")
        if error.args[0].txn_requires_abort() and self._failure is not None:
            return self._failure
        return meaning

    def _fatal_cause(self, error: KafkaException) -> KafkaException:
        """What made a client fatal where an error says only that it is: the next poll of such a client raises it."""
        if error.args[0].code() == KafkaError._FATAL:  # noqa: SLF001 - librdkafka's own codes are spelled so
            try:
                self._producer.poll(0)
            except KafkaException as cause:
                return cause
        return error

    def _call(self, action: str, call: Callable[[], Any]) -> None:
        try:
            call()
        except KafkaException as error:
            raise self._meaning(error, action) from error

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure = self._failure or self._context.translate(error, f"deliver to {message.topic()}")
