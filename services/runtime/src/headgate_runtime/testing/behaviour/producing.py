"""Producing, and reading a compacted topic as a table."""
# ruff: noqa: S101, D102 - test code that two test trees share; a test's name is its description

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headgate_runtime.errors import HeadgateError, RejectedError, UnavailableError
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.testing.behaviour.suite import WAIT_S, Suite
from headgate_runtime.testing.waiting import eventually

if TYPE_CHECKING:
    from headgate_runtime.kafka.protocols import RecordProducer
    from headgate_runtime.records import Record


class ProducerBehaviour(Suite):
    """Delivery reports, partitions, refusals."""

    def test_delivery_is_reported_once_for_each_record(self) -> None:
        topic = self.kafka.create_topic(1)
        producer = self.kafka.producer()
        outcomes: list[HeadgateError | None] = []
        for number in range(10):
            producer.send(OutgoingRecord(topic, b"k", b"%d" % number), outcomes.append)
        assert producer.flush(WAIT_S) == 0
        assert producer.outstanding() == 0
        assert outcomes == [None] * 10
        producer.close()

    def test_an_acknowledged_record_s_offset_is_reported_before_its_delivery(self) -> None:
        topic = self.kafka.create_topic(1)
        producer = self.kafka.producer()
        reports: list[object] = []
        for number in range(3):
            producer.send(OutgoingRecord(topic, b"k", b"%d" % number, partition=0), reports.append, reports.append)
        assert producer.flush(WAIT_S) == 0
        producer.send(OutgoingRecord(topic, b"k", b"x" * 2_000_000, partition=0), reports.append, reports.append)
        producer.flush(WAIT_S)
        producer.close()
        *delivered, refused = reports
        assert delivered == [0, None, 1, None, 2, None]
        assert isinstance(refused, RejectedError)

    def test_a_key_goes_to_the_partition_the_java_client_would_choose(self) -> None:
        topic = self.kafka.create_topic(8)
        # Key and its hash, from the tests of the Java client's murmur2.
        hashes = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"abc": 479470107}
        expected = {key: (value & 0x7FFFFFFF) % 8 for key, value in hashes.items()}
        for key in expected:
            self.produce(topic, key, key=key, partition=None)
        member = self.member(topic, self.kafka.unique("group"))
        member.wait_values(list(expected))
        assert {record.key: record.partition for record in member.records} == expected

    def test_a_record_nobody_watches_over_fails_loudly(self) -> None:
        producer = self.kafka.producer()
        with pytest.raises(RejectedError):
            self._send_into_nowhere(producer)

    def _send_into_nowhere(self, producer: RecordProducer) -> None:
        producer.send(OutgoingRecord(self.kafka.unique("missing"), b"k", b"v", partition=0))
        producer.flush(WAIT_S)

    def test_a_record_larger_than_the_topic_allows_is_rejected_and_others_pass(self) -> None:
        topic = self.kafka.create_topic(1)
        producer = self.kafka.producer()
        outcomes: list[HeadgateError | None] = []
        producer.send(OutgoingRecord(topic, b"k", b"x" * 2_000_000, partition=0), outcomes.append)
        producer.flush(WAIT_S)
        producer.send(OutgoingRecord(topic, b"k", b"small", partition=0), outcomes.append)
        producer.flush(WAIT_S)
        producer.close()
        assert isinstance(outcomes[0], RejectedError)
        assert outcomes[1] is None


class RangeBehaviour(Suite):
    """A stretch of a topic, read outside of any group."""

    def test_records_are_handed_over_from_the_start_asked_for_to_the_end(self) -> None:
        topic = self.kafka.create_topic(3)
        self.produce(topic, b"a", b"b", b"c", partition=0)
        self.produce(topic, b"d", partition=1)
        records: list[Record] = []
        starts = {TopicPartition(topic, 0): 1, TopicPartition(topic, 1): 9, TopicPartition(topic, 2): 0}
        ends = self.kafka.read_range(starts, records.append)
        assert [(record.partition, record.offset, record.value) for record in records] == [(0, 1, b"b"), (0, 2, b"c")]
        assert {partition.partition: end for partition, end in ends.items()} == {0: 3, 1: 1, 2: 0}

    def test_a_negative_start_counts_back_from_the_end(self) -> None:
        topic = self.kafka.create_topic(2)
        self.produce(topic, b"a", b"b", b"c", partition=0)
        self.produce(topic, b"d", partition=1)
        records: list[Record] = []
        self.kafka.read_range({TopicPartition(topic, 0): -2, TopicPartition(topic, 1): -2}, records.append)
        assert sorted(record.value or b"" for record in records) == [b"b", b"c", b"d"]

    def test_aborted_records_are_passed_over_and_count_into_the_end(self) -> None:
        topic = self.kafka.create_topic(1)
        producer = self.transactional()
        for value, keep in ((b"dropped", False), (b"kept", True)):
            producer.begin()
            producer.send(OutgoingRecord(topic, b"a", value, partition=0))
            if keep:
                producer.commit({}, None)
            else:
                producer.abort()
        producer.close()
        records: list[Record] = []
        place = TopicPartition(topic, 0)
        ends = self.kafka.read_range({place: 0}, records.append)
        assert [record.value for record in records] == [b"kept"]
        assert ends == {place: records[0].offset + 2}


class CompactedBehaviour(Suite):
    """A compacted topic read as a table."""

    def test_the_last_value_of_each_key_is_read_and_tombstones_are_gone(self) -> None:
        topic = self.kafka.create_topic(2, compacted=True)
        self.produce(topic, b"old", b"new", key=b"a", partition=0)
        self.produce(topic, b"kept", None, key=b"b", partition=0)
        self.produce(topic, b"other", key=b"a", partition=1)
        table = self.kafka.read_compacted(topic, [0, 1])
        assert {key: record.value for key, record in table.items()} == {(0, b"a"): b"new", (1, b"a"): b"other"}

    def test_an_empty_partition_is_an_empty_table(self) -> None:
        assert self.kafka.read_compacted(self.kafka.create_topic(1, compacted=True), [0]) == {}

    def test_an_aborted_tail_does_not_keep_the_reader_waiting(self) -> None:
        topic = self.kafka.create_topic(1, compacted=True)
        producer = self.transactional()
        for value, keep in ((b"kept", True), (b"dropped", False)):
            producer.begin()
            producer.send(OutgoingRecord(topic, b"a", value, partition=0))
            if keep:
                producer.commit({}, None)
            else:
                producer.abort()
        producer.close()
        table = self.kafka.read_compacted(topic, [0])
        assert [record.value for record in table.values()] == [b"kept"]

    def test_a_pending_transaction_is_not_passed_over(self) -> None:
        topic = self.kafka.create_topic(1, compacted=True)
        producer = self.transactional()
        producer.begin()
        producer.send(OutgoingRecord(topic, b"a", b"pending", partition=0))
        # Another transactional id's commit says nothing about this one; its records must have reached the log first.
        eventually(lambda: self._pending_is_seen(topic), WAIT_S)
        producer.abort()
        producer.close()

    def _pending_is_seen(self, topic: str) -> bool:
        try:
            self.kafka.read_compacted(topic, [0])
        except UnavailableError:
            return True
        return False
