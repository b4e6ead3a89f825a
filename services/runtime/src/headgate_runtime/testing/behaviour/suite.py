"""What the behaviour suite runs on: clients of one broker, whichever it is."""
# ruff: noqa: S101 - test code that two test trees share

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_runtime.testing.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from headgate_runtime.kafka.protocols import RecordConsumer, RecordProducer, TransactionalProducer

WAIT_S = 30.0


class Backend(Protocol):
    """Makes clients of one broker, and names nobody else uses."""

    def create_topic(self, partitions: int, *, compacted: bool = False) -> str:
        """Create a topic and return its name."""

    def unique(self, prefix: str) -> str:
        """Return a name for a group or a transactional id."""

    def consumer(self, group_id: str) -> RecordConsumer:
        """Make a consumer."""

    def producer(self) -> RecordProducer:
        """Make a plain producer."""

    def transactional(self, transactional_id: str) -> TransactionalProducer:
        """Make a transactional producer."""

    def read_compacted(self, topic: str, partitions: Sequence[int]) -> dict[tuple[int, bytes], Record]:
        """Read a compacted topic as a table."""

    def read_range(
        self, starts: Mapping[TopicPartition, int], take: Callable[[Record], None]
    ) -> dict[TopicPartition, int]:
        """Read from offsets to the ends, and return those."""


class Member:
    """A consumer in a group, with what its callbacks were told and what it has read."""

    def __init__(
        self, consumer: RecordConsumer, topic: str, starts: Mapping[TopicPartition, int] | None = None
    ) -> None:
        self.consumer = consumer
        self.records: list[Record] = []
        self.events: list[tuple[str, tuple[TopicPartition, ...]]] = []
        self.starts = dict(starts or {})
        self.on_revoke: Callable[[], None] = lambda: None
        consumer.subscribe(
            [topic],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=lambda gone: self.events.append(("lose", tuple(gone))),
        )

    def _assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.events.append(("assign", tuple(partitions)))
        return {partition: self.starts[partition] for partition in partitions if partition in self.starts}

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("revoke", tuple(partitions)))
        self.on_revoke()

    def poll(self) -> Member:
        """Poll once."""
        self.records += self.consumer.poll(100, 0.05)
        return self

    def wait_assigned(self, count: int) -> None:
        """Poll until that many partitions are owned."""
        eventually(lambda: len(self.poll().consumer.assignment()) == count, WAIT_S)

    def wait_values(self, values: Sequence[bytes]) -> None:
        """Poll until the values have been read, in whatever order of partitions, and nothing else."""
        eventually(lambda: len(self.poll().records) >= len(values), WAIT_S)
        assert sorted(record.value or b"" for record in self.records) == sorted(values)

    def wait_positions(self, offset: int, partition: TopicPartition) -> None:
        """Poll until the position of a partition is known to be ``offset``."""
        eventually(lambda: self.poll().consumer.position(partition) == offset, WAIT_S)


def wait_balanced(first: Member, second: Member, count: int) -> None:
    """Poll both until each owns that many partitions."""

    def balanced() -> bool:
        owned = [len(member.poll().consumer.assignment()) for member in (first, second)]
        return owned == [count, count]

    eventually(balanced, WAIT_S)


class Suite:
    """What the mixins share: clients that are closed when the test ends."""

    @pytest.fixture(autouse=True)
    def _clients(self, kafka: Backend) -> Iterator[None]:
        self.kafka = kafka
        with ExitStack() as self.cleanup:
            yield

    def member(self, topic: str, group_id: str, starts: Mapping[TopicPartition, int] | None = None) -> Member:
        """Make a group member."""
        consumer = self.kafka.consumer(group_id)
        self.cleanup.callback(consumer.close)
        return Member(consumer, topic, starts)

    def produce(self, topic: str, *values: bytes | None, key: bytes = b"k", partition: int | None = 0) -> None:
        """Produce and wait for the acknowledgement."""
        producer = self.kafka.producer()
        for value in values:
            producer.send(OutgoingRecord(topic, key, value, partition=partition))
        assert producer.flush(WAIT_S) == 0
        producer.close()

    def transactional(self, transactional_id: str | None = None) -> TransactionalProducer:
        """Make a transactional producer."""
        return self.kafka.transactional(transactional_id or self.kafka.unique("tx"))
