"""Producers of the broker in memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from headgate_runtime.errors import BackpressureError, HeadgateError, RejectedError, UnavailableError
from headgate_runtime.testing.group import GroupMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.kafka.protocols import OnDelivery, OnOffset
    from headgate_runtime.records import OutgoingRecord, TopicPartition
    from headgate_runtime.testing.broker import MemoryBroker


class MemoryProducer:
    """A ``RecordProducer`` in memory: records leave its queue in ``poll`` and ``flush``, while the broker is there."""

    def __init__(self, broker: MemoryBroker, *, queue_limit: int = 100_000) -> None:
        self._broker = broker
        self._queue_limit = queue_limit
        self._queue: deque[tuple[OutgoingRecord, OnDelivery | None, OnOffset | None]] = deque()

    def send(
        self, record: OutgoingRecord, on_delivery: OnDelivery | None = None, on_offset: OnOffset | None = None
    ) -> None:
        """Queue a record; see ``RecordProducer``."""
        if len(self._queue) >= self._queue_limit:
            raise BackpressureError("the producer's queue is full: wait for deliveries, then send again")
        self._queue.append((record, on_delivery, on_offset))

    def poll(self) -> None:
        """Deliver what is queued, unless the broker is away."""
        failure: HeadgateError | None = None
        while self._queue and self._broker.available:
            record, on_delivery, on_offset = self._queue.popleft()
            error = self._deliver(record, on_offset)
            if on_delivery is not None:
                on_delivery(error)
            else:
                failure = failure or error
        if failure is not None:
            raise failure

    def flush(self, timeout_s: float) -> int:  # noqa: ARG002 - nothing here takes time
        """Deliver what is queued; return how many records are still queued."""
        self.poll()
        return len(self._queue)

    def outstanding(self) -> int:
        """Return how many records wait for their acknowledgement."""
        return len(self._queue)

    def refusal(self) -> None:
        """Return None: a broker in memory refuses nobody."""

    def close(self, timeout_s: float = 10.0) -> None:  # noqa: ARG002 - nothing here takes time
        """Flush."""
        self.poll()

    def _deliver(self, record: OutgoingRecord, on_offset: OnOffset | None) -> HeadgateError | None:
        try:
            offset = self._broker.append(record).offset
        except HeadgateError as error:
            return error
        if on_offset is not None:
            on_offset(offset)
        return None


class MemoryTransactionalProducer:
    """A ``TransactionalProducer`` in memory; making one fences the last with the same transactional id."""

    def __init__(self, broker: MemoryBroker, transactional_id: str) -> None:
        self._broker = broker
        self._transactional_id = transactional_id
        self._epoch = broker.take_over(transactional_id)
        self._open = False
        self._failure: HeadgateError | None = None

    def begin(self) -> None:
        """Open a transaction."""
        if self._open:
            raise RejectedError("a transaction is open already: commit or abort it")
        self._open, self._failure = True, None

    def send(self, record: OutgoingRecord) -> None:
        """Add a record to the open transaction; a refused one shows in ``commit``."""
        self._require_open()
        try:
            self._broker.add(self._transactional_id, self._epoch, record)
        except (RejectedError, UnavailableError) as error:
            self._failure = self._failure or error

    def commit(self, offsets: Mapping[TopicPartition, int], group: object) -> None:
        """Make the transaction visible and move the group's offsets, both or neither."""
        self._require_open()
        if self._failure is not None:
            raise self._failure

        def move_offsets() -> None:
            if offsets:
                if not isinstance(group, GroupMetadata):
                    raise RejectedError("offsets are committed with the consumer's group_metadata()")
                self._broker.group(group.group_id).commit(dict(offsets), group)

        self._broker.end(self._transactional_id, self._epoch, committed=True, effect=move_offsets)
        self._open = False

    def abort(self) -> None:
        """Drop the open transaction; does nothing where none is open."""
        if self._open:
            self._broker.end(self._transactional_id, self._epoch, committed=False)
            self._open = False

    def close(self) -> None:
        """Abort what is open."""
        self.abort()

    def _require_open(self) -> None:
        if not self._open:
            raise RejectedError("no transaction is open: begin one")
