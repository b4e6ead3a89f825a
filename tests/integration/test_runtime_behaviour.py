"""The behaviour suite of the Kafka adapters on a real broker; the memory broker passes the same."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.config import KafkaSettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.compacted import read_compacted
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
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

    from headgate_local.fixtures import Brokers
    from headgate_runtime.records import Record, TopicPartition


class KafkaBackend:
    def __init__(self, bootstrap_servers: str) -> None:
        self.settings = KafkaSettings(bootstrap_servers=bootstrap_servers)

    def create_topic(self, partitions: int, *, compacted: bool = False) -> str:
        topic = self.unique("behaviour")
        policy = "compact" if compacted else "delete"
        KafkaAdmin(self.settings).create(topic, partitions=partitions, config={"cleanup.policy": policy})
        return topic

    def unique(self, prefix: str) -> str:
        return f"{prefix}-{uuid.uuid4().hex[:12]}"

    def consumer(self, group_id: str) -> KafkaConsumer:
        return KafkaConsumer(self.settings, group_id=group_id)

    def producer(self) -> KafkaProducer:
        return KafkaProducer(self.settings)

    def transactional(self, transactional_id: str) -> KafkaTransactionalProducer:
        return KafkaTransactionalProducer(self.settings, transactional_id=transactional_id)

    def read_compacted(self, topic: str, partitions: Sequence[int]) -> dict[tuple[int, bytes], Record]:
        return read_compacted(self.settings, topic, partitions, timeout_s=10)

    def read_range(
        self, starts: Mapping[TopicPartition, int], take: Callable[[Record], None]
    ) -> dict[TopicPartition, int]:
        return read_range(self.settings, starts, take, timeout_s=10)


@pytest.fixture
def kafka(stack: Brokers) -> KafkaBackend:
    return KafkaBackend(stack.bootstrap_servers)


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
