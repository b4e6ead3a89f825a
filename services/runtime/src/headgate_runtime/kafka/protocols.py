"""What services ask of Kafka, free of any client library; every method may raise a HeadgateError."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from headgate_runtime.errors import HeadgateError
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition

OnAssign = Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]]
OnRemove = Callable[[Sequence[TopicPartition]], None]
OnDelivery = Callable[[HeadgateError | None], None]
OnOffset = Callable[[int], None]


class RecordConsumer(Protocol):
    """A member of a consumer group that reads committed records and commits by hand.

    Every call belongs on the thread that polls; callbacks run inside ``poll`` and ``close``. An assignment is
    incremental: callbacks name the partitions that come or go, never those that stay.
    """

    def subscribe(self, topics: Sequence[str], *, on_assign: OnAssign, on_revoke: OnRemove, on_lost: OnRemove) -> None:
        """Join the group.

        Args:
            topics: Topics to read.
            on_assign: Gets the new partitions, returns the offsets to start at (``EARLIEST`` for the first record in
                the log) where the group's committed offset, else the earliest record, is not wanted.
            on_revoke: Gets the partitions that go; they are still owned while it runs, so it may commit.
            on_lost: Gets the partitions that are gone already; nothing can be committed for them.
        """

    def resubscribe(self, topics: Sequence[str]) -> None:
        """Read these topics instead; partitions of topics that stay are kept, and the callbacks are those given before."""

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Return up to ``max_records`` records in order per partition, waiting at most ``timeout_s`` seconds."""

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Stop returning records of the partitions; membership and callbacks go on."""

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Return records of the partitions again, from where they were paused."""

    def assignment(self) -> list[TopicPartition]:
        """Return the partitions owned now."""

    def position(self, partition: TopicPartition) -> int | None:
        """Return the next offset to be consumed, past any gap already skipped; None where not known yet."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read an owned partition from another offset on; call it outside of callbacks.

        Nothing fetched before is returned afterwards. Pausing is not affected.
        """

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the group's committed offsets; a partition without one is absent."""

    def begin_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask the broker for the first offset that is still in the log."""

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask the broker for the end of what a reader of committed records can see."""

    def refusal(self) -> str | None:
        """Say why the brokers refuse this member's connections, and what to do; None where they do not."""

    def lag(self) -> dict[TopicPartition, int]:
        """Return records behind per owned partition, from what the last fetches said: no network call."""

    def commit(self, offsets: Mapping[TopicPartition, int], *, wait: bool = True) -> None:
        """Commit the group's next offsets.

        Args:
            offsets: Next offset by partition.
            wait: For the answer. Otherwise a fault is only logged, except that a later ``poll`` tells of fencing.

        Raises:
            UnavailableError: The brokers do not answer, or the member is out of its group and rejoins.
        """

    def group_metadata(self) -> object:
        """Return what a transaction needs to prove that this member still owns its partitions."""

    def close(self) -> None:
        """Leave the group; ``on_revoke`` runs for what is still owned."""


class RecordProducer(Protocol):
    """Produces idempotently, acknowledged by all in-sync replicas."""

    def send(
        self, record: OutgoingRecord, on_delivery: OnDelivery | None = None, on_offset: OnOffset | None = None
    ) -> None:
        """Queue a record.

        Args:
            record: The record.
            on_delivery: Called by a later ``poll`` or ``flush`` with None once acknowledged, else with the error.
                Without it a failure is raised by the next ``poll`` or ``flush``.
            on_offset: Called right before ``on_delivery(None)`` with the record's offset; not called where the broker
                does not say it, as after a repetition that it recognised.

        Raises:
            BackpressureError: The queue is full.
        """

    def poll(self) -> None:
        """Run the delivery callbacks that are due; does not wait."""

    def flush(self, timeout_s: float) -> int:
        """Wait until everything queued is delivered or has failed; return how many records are still queued."""

    def outstanding(self) -> int:
        """Return how many records wait for their acknowledgement."""

    def refusal(self) -> str | None:
        """Say why the brokers refuse this producer's connections, and what to do; None where they do not."""

    def close(self, timeout_s: float = 10.0) -> None:
        """Flush, for so long at most, then let go of the connection."""


class TransactionalProducer(Protocol):
    """Produces in transactions that also move a group's offsets.

    ``FencedError`` from any call means another producer holds the transactional id, ``InDoubtError`` that the outcome
    of a commit stays unknown: leave and start clean. After any other error the transaction is still open: ``abort`` it.
    """

    def begin(self) -> None:
        """Open a transaction."""

    def send(self, record: OutgoingRecord) -> None:
        """Add a record to the open transaction; a delivery failure shows in ``commit``."""

    def commit(self, offsets: Mapping[TopicPartition, int], group: object) -> None:
        """Flush, move the group's next offsets, and make all of it visible at once.

        Args:
            offsets: Next offsets of the group; may be empty.
            group: What ``RecordConsumer.group_metadata`` returned.

        Raises:
            UnavailableError: Nothing was committed, or the group has a rebalance: abort and do it again.
            RejectedError: A record or the commit was refused for good.
        """

    def abort(self) -> None:
        """Drop the open transaction; does nothing where none is open."""

    def close(self) -> None:
        """Abort what is open and let go of the connection."""
