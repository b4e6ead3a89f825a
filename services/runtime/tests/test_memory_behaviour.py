from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.testing import MemoryBroker, MemoryConsumer, MemoryProducer, MemoryTransactionalProducer
from headgate_runtime.testing.behaviour import (
    CompactedBehaviour,
    ConsumerBehaviour,
    GroupBehaviour,
    ProducerBehaviour,
    RangeBehaviour,
    TransactionBehaviour,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headgate_runtime.records import Record, TopicPartition


class MemoryBackend:
    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self._numbers = count()

    def create_topic(self, partitions: int, *, compacted: bool = False) -> str:
        topic = self.unique("compacted" if compacted else "topic")
        self.broker.create_topic(topic, partitions)
        return topic

    def unique(self, prefix: str) -> str:
        return f"{prefix}-{next(self._numbers)}"

    def consumer(self, group_id: str) -> MemoryConsumer:
        return MemoryConsumer(self.broker, group_id)

    def producer(self) -> MemoryProducer:
        return MemoryProducer(self.broker)

    def transactional(self, transactional_id: str) -> MemoryTransactionalProducer:
        return MemoryTransactionalProducer(self.broker, transactional_id)

    def read_compacted(self, topic: str, partitions: Sequence[int]) -> dict[tuple[int, bytes], Record]:
        return self.broker.read_compacted(topic, partitions)

    def read_range(
        self, starts: Mapping[TopicPartition, int], take: Callable[[Record], None]
    ) -> dict[TopicPartition, int]:
        return self.broker.read_range(starts, take)


@pytest.fixture
def kafka() -> MemoryBackend:
    return MemoryBackend()


class TestConsumer(ConsumerBehaviour):
    pass


class TestGroup(GroupBehaviour):
    pass


class TestTransactions(TransactionBehaviour):
    pass


class TestProducer(ProducerBehaviour):
    pass


class TestRange(RangeBehaviour):
    pass


class TestCompacted(CompactedBehaviour):
    pass
