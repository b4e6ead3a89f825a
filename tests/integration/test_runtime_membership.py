"""Group membership on a real broker: static instances, rebalances around transactions, and the loop as a whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.config import KafkaSettings
from headgate_runtime.errors import FencedError, UnavailableError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.loop import Loop
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_runtime.testing import eventually
from headgate_runtime.testing.behaviour.suite import Member, wait_balanced

if TYPE_CHECKING:
    from headgate_local.fixtures import Brokers

TopicName = Callable[[str], str]


class Cluster:
    def __init__(self, settings: KafkaSettings, topic: str, group: str, cleanup: ExitStack) -> None:
        self.settings, self.topic, self.group, self.cleanup = settings, topic, group, cleanup
        KafkaAdmin(settings).create(topic, partitions=2, config={})

    def member(self, instance_id: str | None = None) -> Member:
        consumer = KafkaConsumer(self.settings, group_id=self.group, instance_id=instance_id)
        self.cleanup.callback(consumer.close)
        return Member(consumer, self.topic)

    def produce(self, *values: bytes) -> None:
        producer = KafkaProducer(self.settings)
        for value in values:
            producer.send(OutgoingRecord(self.topic, value, value, partition=0))
        assert producer.flush(30) == 0


@pytest.fixture
def cluster(stack: Brokers, topic_name: TopicName) -> Iterator[Cluster]:
    settings = KafkaSettings(bootstrap_servers=stack.bootstrap_servers)
    with ExitStack() as cleanup:
        yield Cluster(settings, topic_name("membership"), topic_name("group"), cleanup)


def test_a_static_instance_that_comes_back_gets_its_partitions_without_a_rebalance(cluster: Cluster) -> None:
    stays, goes = cluster.member("a"), cluster.member("b")
    wait_balanced(stays, goes, 1)
    held = goes.consumer.assignment()
    events = len(stays.events)
    goes.consumer.close()
    back = cluster.member("b")
    eventually(lambda: bool(stays.poll()) and back.poll().consumer.assignment() == held, 30)
    assert stays.events[events:] == []


def test_the_older_of_two_with_one_instance_id_is_fenced(cluster: Cluster) -> None:
    older = cluster.member("a")
    older.wait_assigned(2)
    newer = cluster.member("a")
    newer.poll()

    def fenced() -> bool:
        newer.poll()
        try:
            older.poll()
        except FencedError:
            return True
        return False

    eventually(fenced, 30)


def test_a_transaction_over_a_rebalance_is_aborted_and_passes_when_done_again(cluster: Cluster) -> None:
    member = cluster.member()
    cluster.produce(b"a")
    member.wait_values([b"a"])
    stale = member.consumer.group_metadata()
    wait_balanced(member, cluster.member(), 1)
    (owned,) = member.consumer.assignment()
    producer = KafkaTransactionalProducer(cluster.settings, transactional_id=cluster.group)
    producer.begin()
    with pytest.raises(UnavailableError):
        producer.commit({owned: 0}, stale)
    producer.abort()
    producer.begin()
    producer.commit({owned: 0}, member.consumer.group_metadata())
    producer.close()
    assert member.consumer.committed([owned]) == {owned: 0}


class CollectingWorker:
    def __init__(self, consumer: KafkaConsumer) -> None:
        self.consumer = consumer
        self.values: list[bytes | None] = []
        self.offsets: dict[TopicPartition, int] = {}

    def assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        self.consumer.commit({each: self.offsets[each] for each in partitions if each in self.offsets})

    def lose(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in partitions:
            self.offsets.pop(partition, None)

    def process(self, records: list[Record]) -> None:
        self.values += [record.value for record in records]
        self.offsets |= {record.source: record.offset + 1 for record in records}

    def tick(self, *, draining: bool) -> None:
        """Nothing is due."""

    def congested(self) -> bool:
        return False

    def busy(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""


def test_the_loop_pauses_resumes_and_stops_on_a_real_broker(cluster: Cluster) -> None:
    consumer = KafkaConsumer(cluster.settings, group_id=cluster.group)
    worker = CollectingWorker(consumer)
    loop = Loop(consumer, worker, topics=[cluster.topic], drain_timeout_s=5, metrics=Metrics())
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        eventually(lambda: loop.snapshot().joined, 30)
        cluster.produce(b"a", b"b")
        eventually(lambda: worker.values == [b"a", b"b"], 30)
        loop.pause()
        eventually(lambda: loop.snapshot().paused)
        cluster.produce(b"c")
        eventually(lambda: loop.snapshot().positions.get(TopicPartition(cluster.topic, 0)) == 2)
        assert worker.values == [b"a", b"b"]
        loop.resume()
        eventually(lambda: worker.values == [b"a", b"b", b"c"], 30)
        eventually(lambda: set(loop.snapshot().lag.values()) == {0})
    finally:
        loop.stop()
        thread.join(30)
    assert not thread.is_alive()
    member = cluster.member()
    member.wait_assigned(2)
    assert member.consumer.committed(member.consumer.assignment()) == {TopicPartition(cluster.topic, 0): 3}
