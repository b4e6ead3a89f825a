"""Reading, and the moves of partitions between members."""
# ruff: noqa: S101, PLR2004, D102 - test code that two test trees share; a test's name is its description

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_runtime.errors import RejectedError, UnavailableError
from headgate_runtime.records import EARLIEST, OutgoingRecord, Record, TopicPartition
from headgate_runtime.testing.behaviour.suite import WAIT_S, Suite, wait_balanced
from headgate_runtime.testing.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ConsumerBehaviour(Suite):
    """Reading, starting, pausing, committing."""

    def test_a_new_group_reads_from_the_earliest_record_in_order(self) -> None:
        topic = self.kafka.create_topic(1)
        values = [b"%d" % number for number in range(50)]
        self.produce(topic, *values)
        member = self.member(topic, self.kafka.unique("group"))
        member.wait_values(values)
        assert [record.value for record in member.records] == values
        assert [record.offset for record in member.records] == list(range(50))

    def test_a_record_comes_as_it_was_sent(self) -> None:
        topic = self.kafka.create_topic(1)
        headers = (("traceparent", b"00-1"), ("empty", b""), ("none", None), ("traceparent", b"again"))
        producer = self.kafka.producer()
        producer.send(OutgoingRecord(topic, b"key", b"value", headers, partition=0, timestamp_ms=1_700_000_000_123))
        producer.flush(WAIT_S)
        producer.close()
        member = self.member(topic, self.kafka.unique("group"))
        member.wait_values([b"value"])
        assert member.records == [Record(topic, 0, 0, 1_700_000_000_123, b"key", b"value", headers)]

    def test_a_group_goes_on_from_its_committed_offset(self) -> None:
        topic, group = self.kafka.create_topic(1), self.kafka.unique("group")
        self.produce(topic, b"a", b"b", b"c")
        partition = TopicPartition(topic, 0)
        first = self.member(topic, group)
        first.wait_values([b"a", b"b", b"c"])
        assert first.consumer.committed([partition]) == {}
        first.consumer.commit({partition: 2})
        assert first.consumer.committed([partition]) == {partition: 2}
        first.consumer.close()
        self.member(topic, group).wait_values([b"c"])

    def test_the_worker_decides_where_to_start_before_the_committed_offset_does(self) -> None:
        topic, group = self.kafka.create_topic(2), self.kafka.unique("group")
        self.produce(topic, b"a", b"b", b"c", partition=0)
        self.produce(topic, b"x", b"y", partition=1)
        member = self.member(topic, group, {TopicPartition(topic, 0): 1})
        member.wait_values([b"b", b"c", b"x", b"y"])

    def test_the_worker_may_start_at_the_earliest_record_whatever_is_committed(self) -> None:
        topic, group = self.kafka.create_topic(1), self.kafka.unique("group")
        partition = TopicPartition(topic, 0)
        self.produce(topic, b"a", b"b", b"c")
        first = self.member(topic, group)
        first.wait_values([b"a", b"b", b"c"])
        first.consumer.commit({partition: 2})
        first.consumer.close()
        self.member(topic, group, {partition: EARLIEST}).wait_values([b"a", b"b", b"c"])

    def test_a_start_outside_the_log_is_an_error_and_no_silent_jump(self) -> None:
        topic = self.kafka.create_topic(1)
        self.produce(topic, b"a")
        member = self.member(topic, self.kafka.unique("group"), {TopicPartition(topic, 0): 500})

        def failed() -> bool:
            try:
                member.poll()
            except RejectedError:
                return True
            return False

        eventually(failed, WAIT_S)
        assert member.records == []

    def test_a_fault_of_the_worker_at_its_assignment_comes_out_of_poll(self) -> None:
        topic = self.kafka.create_topic(1)
        consumer = self.kafka.consumer(self.kafka.unique("group"))

        def refuse(_: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
            raise UnavailableError("the catalog does not answer")

        consumer.subscribe([topic], on_assign=refuse, on_revoke=lambda _: None, on_lost=lambda _: None)

        def raised() -> bool:
            try:
                consumer.poll(1, 0.05)
            except UnavailableError as error:
                return "catalog" in str(error)
            return False

        eventually(raised, WAIT_S)
        consumer.close()

    def test_a_paused_partition_gives_nothing_and_goes_on_where_it_was(self) -> None:
        topic = self.kafka.create_topic(2)
        member = self.member(topic, self.kafka.unique("group"))
        member.wait_assigned(2)
        paused = TopicPartition(topic, 0)
        member.consumer.pause([paused])
        self.produce(topic, b"held", partition=0)
        self.produce(topic, b"free", partition=1)
        member.wait_values([b"free"])
        member.poll()
        assert [record.value for record in member.records] == [b"free"]
        member.consumer.resume([paused])
        member.wait_values([b"free", b"held"])

    def test_after_a_seek_comes_nothing_that_was_fetched_before(self) -> None:
        topic = self.kafka.create_topic(1)
        self.produce(topic, *[b"%d" % number for number in range(3000)])
        member = self.member(topic, self.kafka.unique("group"))
        eventually(lambda: member.poll().records, WAIT_S)
        for offset in (7, 2900, 3):
            member.consumer.seek(TopicPartition(topic, 0), offset)
            member.records.clear()
            eventually(lambda: member.poll().records, WAIT_S)
            first = [record.offset for record in member.records]
            assert first == list(range(offset, offset + len(first)))
        eventually(lambda: member.poll().records[-1].offset == 2999, WAIT_S)
        assert [record.offset for record in member.records] == list(range(3, 3000))

    def test_a_paused_partition_that_is_sought_stays_paused(self) -> None:
        topic = self.kafka.create_topic(2)
        sought, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
        self.produce(topic, b"a", b"b", b"c", partition=0)
        member = self.member(topic, self.kafka.unique("group"))
        member.wait_values([b"a", b"b", b"c"])
        member.consumer.pause([sought])
        member.consumer.seek(sought, 1)
        self.produce(topic, b"x", partition=other.partition)
        member.wait_values([b"a", b"b", b"c", b"x"])
        member.consumer.resume([sought])
        member.wait_values([b"a", b"b", b"c", b"x", b"b", b"c"])

    def test_position_and_lag_follow_what_was_read(self) -> None:
        topic = self.kafka.create_topic(1)
        partition = TopicPartition(topic, 0)
        self.produce(topic, b"a", b"b", b"c")
        member = self.member(topic, self.kafka.unique("group"))
        member.wait_values([b"a", b"b", b"c"])
        member.wait_positions(3, partition)
        assert member.consumer.lag() == {partition: 0}
        assert member.consumer.end_offsets([partition]) == {partition: 3}

    def test_no_more_than_asked_for_comes_at_once(self) -> None:
        topic = self.kafka.create_topic(1)
        self.produce(topic, *[b"v"] * 30)
        member = self.member(topic, self.kafka.unique("group"))
        sizes = []

        def all_read() -> bool:
            sizes.append(len(member.consumer.poll(7, 0.2)))
            return sum(sizes) == 30

        eventually(all_read, WAIT_S)
        assert max(sizes) <= 7

    def test_a_seek_goes_back_and_keeps_a_pause(self) -> None:
        topic = self.kafka.create_topic(1)
        partition = TopicPartition(topic, 0)
        self.produce(topic, b"a", b"b")
        member = self.member(topic, self.kafka.unique("group"))
        member.wait_values([b"a", b"b"])
        member.consumer.pause([partition])
        member.consumer.seek(partition, 1)
        for _ in range(5):
            member.poll()
        assert len(member.records) == 2
        assert member.consumer.position(partition) == 1
        member.consumer.resume([partition])
        member.wait_values([b"a", b"b", b"b"])


class GroupBehaviour(Suite):
    """Partitions that move between members."""

    def test_a_second_member_takes_only_what_the_first_has_let_go(self) -> None:
        topic, group = self.kafka.create_topic(4), self.kafka.unique("group")
        first = self.member(topic, group)
        first.wait_assigned(4)
        second = self.member(topic, group)
        wait_balanced(first, second, 2)
        revoked = [partition for kind, gone in first.events if kind == "revoke" for partition in gone]
        assert sorted(revoked) == sorted(second.consumer.assignment())
        assert not [event for event in first.events if event[0] == "lose"]

    def test_a_member_that_leaves_is_told_and_the_other_takes_over(self) -> None:
        topic, group = self.kafka.create_topic(2), self.kafka.unique("group")
        first = self.member(topic, group)
        first.wait_assigned(2)
        second = self.member(topic, group)
        wait_balanced(first, second, 1)
        held = tuple(first.consumer.assignment())
        first.consumer.close()
        assert first.events[-1] == ("revoke", held)
        second.wait_assigned(2)

    def test_a_member_may_read_more_topics_later_and_keeps_what_it_has(self) -> None:
        topic, later = self.kafka.create_topic(2), self.kafka.create_topic(1)
        self.produce(topic, b"a")
        self.produce(later, b"b")
        member = self.member(topic, self.kafka.unique("group"))
        member.wait_values([b"a"])
        member.consumer.resubscribe([topic, later])
        member.wait_values([b"a", b"b"])
        assert len(member.consumer.assignment()) == 3
        assert not [event for event in member.events if event[0] != "assign"]

    def test_what_is_revoked_can_still_be_committed(self) -> None:
        topic, group = self.kafka.create_topic(1), self.kafka.unique("group")
        self.produce(topic, b"a", b"b")
        partition = TopicPartition(topic, 0)
        member = self.member(topic, group)
        member.on_revoke = lambda: member.consumer.commit({partition: 1})
        member.wait_values([b"a", b"b"])
        member.consumer.close()
        self.member(topic, group).wait_values([b"b"])
