"""Transactions, fencing, and what readers see of them."""
# ruff: noqa: S101, D102 - test code that two test trees share; a test's name is its description

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headgate_runtime.errors import FencedError, UnavailableError
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.testing.behaviour.suite import Suite

if TYPE_CHECKING:
    from headgate_runtime.kafka.protocols import TransactionalProducer


class TransactionBehaviour(Suite):
    """Transactions, fencing, and what readers see of them."""

    def test_an_open_transaction_is_not_seen_and_a_committed_one_is(self) -> None:
        topic = self.kafka.create_topic(1)
        producer = self.transactional()
        member = self.member(topic, self.kafka.unique("group"))
        member.wait_assigned(1)
        producer.begin()
        producer.send(OutgoingRecord(topic, b"k", b"a", partition=0))
        self.produce(topic, b"plain")
        for _ in range(5):
            assert member.poll().records == []
        producer.commit({}, None)
        producer.close()
        member.wait_values([b"a", b"plain"])

    def test_an_aborted_transaction_is_never_seen_and_leaves_a_gap(self) -> None:
        topic = self.kafka.create_topic(1)
        partition = TopicPartition(topic, 0)
        producer = self.transactional()
        producer.begin()
        producer.send(OutgoingRecord(topic, b"k", b"dropped", partition=0))
        producer.abort()
        producer.begin()
        producer.send(OutgoingRecord(topic, b"k", b"kept", partition=0))
        producer.commit({}, None)
        producer.close()
        member = self.member(topic, self.kafka.unique("group"))
        member.wait_values([b"kept"])
        end = member.consumer.end_offsets([partition])[partition]
        assert end > member.records[0].offset + 1
        member.wait_positions(end, partition)
        assert member.consumer.lag() == {partition: 0}

    def test_an_abort_before_the_broker_has_seen_anything_is_harmless(self) -> None:
        topic = self.kafka.create_topic(4)
        producer = self.transactional()
        for number in range(10):
            producer.begin()
            for index in range(500):
                producer.send(OutgoingRecord(topic, None, b"dropped" * 50, partition=index % 4))
            producer.abort()
            producer.begin()
            producer.send(OutgoingRecord(topic, None, b"%d" % number, partition=0))
            producer.commit({}, None)
        producer.close()
        self.member(topic, self.kafka.unique("group")).wait_values([b"%d" % number for number in range(10)])

    def test_offsets_move_with_the_records_or_not_at_all(self) -> None:
        source, sink, group = self.kafka.create_topic(1), self.kafka.create_topic(1), self.kafka.unique("group")
        self.produce(source, b"a", b"b")
        partition = TopicPartition(source, 0)
        member = self.member(source, group)
        member.wait_values([b"a", b"b"])
        producer = self.transactional()
        producer.begin()
        producer.send(OutgoingRecord(sink, b"k", b"out", partition=0))
        producer.abort()
        assert member.consumer.committed([partition]) == {}
        producer.begin()
        producer.send(OutgoingRecord(sink, b"k", b"out", partition=0))
        producer.commit({partition: 2}, member.consumer.group_metadata())
        producer.close()
        assert member.consumer.committed([partition]) == {partition: 2}
        self.member(sink, self.kafka.unique("group")).wait_values([b"out"])

    def test_the_last_to_take_a_transactional_id_fences_the_one_before(self) -> None:
        topic, transactional_id = self.kafka.create_topic(1), self.kafka.unique("tx")
        zombie = self.transactional(transactional_id)
        zombie.begin()
        zombie.send(OutgoingRecord(topic, b"k", b"zombie", partition=0))
        heir = self.transactional(transactional_id)
        with pytest.raises(FencedError):
            self._finish(zombie, topic)
        heir.begin()
        heir.send(OutgoingRecord(topic, b"k", b"heir", partition=0))
        heir.commit({}, None)
        heir.close()
        self.member(topic, self.kafka.unique("group")).wait_values([b"heir"])

    def _finish(self, zombie: TransactionalProducer, topic: str) -> None:
        zombie.send(OutgoingRecord(topic, b"k", b"zombie", partition=0))
        zombie.commit({}, None)

    def test_a_member_that_has_left_cannot_move_offsets(self) -> None:
        source, sink, group = self.kafka.create_topic(1), self.kafka.create_topic(1), self.kafka.unique("group")
        self.produce(source, b"a")
        partition = TopicPartition(source, 0)
        left = self.member(source, group)
        left.wait_values([b"a"])
        metadata = left.consumer.group_metadata()
        left.consumer.close()
        other = self.member(source, group)
        other.wait_assigned(1)
        producer = self.transactional()
        producer.begin()
        producer.send(OutgoingRecord(sink, b"k", b"stale", partition=0))
        with pytest.raises(UnavailableError):
            producer.commit({partition: 1}, metadata)
        producer.abort()
        producer.close()
        assert other.consumer.committed([partition]) == {}
