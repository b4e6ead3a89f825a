"""Answers in a topic: kept before use, found by the next owner while their event is not done, and forgotten after."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from headgate_enricher.progress import Mark, PartitionProgress
from headgate_enricher.results import UNKNOWN_START_RECORDS
from headgate_runtime.errors import UnavailableError
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.testing import MemoryBroker, MemoryProducer, eventually
from headgate_schemas.agent import Usage

from .answers_owner import CONTRACT, FRESH, SOURCE, Owner, answer, position

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_runtime.kafka.protocols import OnDelivery, OnOffset
    from headgate_runtime.records import Record


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic(CONTRACT.topic, 4)
    return broker


def test_the_next_owner_finds_an_answer_as_it_was(broker: MemoryBroker) -> None:
    first = Owner(broker)
    first.store(5)
    first.store(5, number=1, text="and yes again")
    second = Owner(broker)
    assert second.find(5) == answer()
    assert second.find(5, number=1) == answer("and yes again")
    assert (second.find(5, number=2), second.find(6)) == (None, None)


def test_an_answer_that_another_event_paid_for_is_found_as_such(broker: MemoryBroker) -> None:
    reused = replace(answer(), usage=Usage(), cost_microdollars=0, reused=True)
    asyncio.run(Owner(broker).results.store(position(5), 0, reused))
    assert Owner(broker).find(5) == reused


def test_an_answer_is_on_the_partition_of_its_events_number_under_a_key_of_its_own(broker: MemoryBroker) -> None:
    owner = Owner(broker)
    owner.store(5)
    owner.store(5, number=1)
    records = broker.records(CONTRACT.topic)
    assert [record.partition for record in records] == [SOURCE.partition] * 2
    assert [record.key for record in records] == [b"raw-events/2/5/v1/0", b"raw-events/2/5/v1/1"]


def test_storing_returns_after_the_broker_has_acknowledged(broker: MemoryBroker) -> None:
    async def store_during_an_outage() -> tuple[bool, bool]:
        broker.available = False
        task = asyncio.create_task(owner.results.store(position(5), 0, answer()))
        await asyncio.sleep(0.05)
        waited = not task.done()
        broker.available = True
        await task
        return waited, task.done()

    owner = Owner(broker)
    assert asyncio.run(store_during_an_outage()) == (True, True)
    assert len(broker.records(CONTRACT.topic)) == 1


def test_an_answer_the_broker_does_not_take_in_time_is_left_with_half_the_time(broker: MemoryBroker) -> None:
    owner = Owner(broker)
    broker.available = False
    started_s = time.monotonic()
    with pytest.raises(UnavailableError, match="has not acknowledged it in time"):
        owner.store(5, seconds=0.4)
    assert 0.15 < time.monotonic() - started_s < 0.35
    broker.available = True


def test_a_refused_answer_is_no_more_than_not_kept(broker: MemoryBroker) -> None:
    owner = Owner(broker)
    broker.max_record_bytes = 10
    with pytest.raises(UnavailableError, match="larger than the topic allows"):
        owner.store(5)
    broker.max_record_bytes = 100_000
    owner.store(6)
    assert Owner(broker).find(6) == answer()


def test_a_cancelled_call_s_answer_is_kept_all_the_same(broker: MemoryBroker) -> None:
    async def cancel_while_it_waits() -> None:
        broker.available = False
        task = asyncio.create_task(owner.results.store(position(5), 0, answer()))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        broker.available = True

    owner = Owner(broker)
    asyncio.run(cancel_while_it_waits())
    eventually(lambda: len(broker.records(CONTRACT.topic)) == 1, 5)
    assert Owner(broker).find(5) == answer()


def test_answers_to_what_is_done_are_not_read_back(broker: MemoryBroker) -> None:
    first = Owner(broker)
    for offset in range(6):
        first.progress.admit(offset)
        first.store(offset)
    for offset in (0, 1, 4):
        first.progress.complete(offset)
    second = Owner(broker, first.mark())
    assert [second.find(offset) is not None for offset in range(6)] == [False, False, True, True, False, True]


def test_a_commit_says_where_the_first_answer_still_of_use_is(broker: MemoryBroker) -> None:
    owner = Owner(broker)
    for offset in range(4):
        owner.progress.admit(offset)
        owner.store(offset)
    owner.progress.complete(0)
    owner.progress.complete(2)
    assert owner.mark() == Mark(1, owner.progress.mark().done, 1)
    owner.progress.complete(1)
    owner.progress.complete(3)
    assert owner.mark() == Mark(4, b"", 4)


def test_a_commit_keeps_the_first_of_an_events_answers_in_reach(broker: MemoryBroker) -> None:
    owner = Owner(broker)
    owner.store(5)
    owner.store(5, number=1)
    assert owner.mark().answers_from == 0


def test_nothing_of_use_left_is_said_to_be_the_end_and_so_nothing_is_read_back(broker: MemoryBroker) -> None:
    first = Owner(broker)
    first.store(0)
    first.store(1)
    assert Owner(broker, Mark(2, b"", 0)).mark().answers_from == 2


def test_answers_read_back_keep_their_place_until_they_are_used(broker: MemoryBroker) -> None:
    first = Owner(broker)
    for offset in range(3):
        first.store(offset)
    second = Owner(broker)
    second.progress.admit(0)
    second.progress.complete(0)
    assert second.mark().answers_from == 1
    third = Owner(broker, second.mark())
    assert (third.find(0), third.find(1), third.find(2)) == (None, answer(), answer())


def test_memory_holds_nothing_of_what_is_done(broker: MemoryBroker) -> None:
    for offset in range(50):
        Owner(broker).store(offset)
    owner = Owner(broker)
    for offset in range(50):
        owner.progress.admit(offset)
        owner.progress.complete(offset)
    owner.mark()
    assert [owner.find(offset) for offset in range(50)] == [None] * 50


def test_where_no_commit_says_from_where_the_last_answers_are_read(broker: MemoryBroker) -> None:
    starts: list[int] = []

    def read(wanted: Mapping[TopicPartition, int], take: Callable[[Record], None]) -> Mapping[TopicPartition, int]:
        starts.extend(wanted.values())
        return broker.read_range(wanted, take)

    Owner(broker).store(5)
    assert Owner(broker, Mark(3, b""), read=read).find(5) == answer()
    assert starts == [-UNKNOWN_START_RECORDS]


def test_another_version_of_the_agent_asks_anew(broker: MemoryBroker) -> None:
    Owner(broker).store(5)
    assert Owner(broker, versions=["v2"]).find(5, version="v2") is None


def test_each_agent_finds_its_own_answers_and_no_other_s(broker: MemoryBroker) -> None:
    first = Owner(broker, versions=["v1", "w1"])
    first.store(5)
    first.store(6, version="w1", text="no")
    second = Owner(broker, versions=["v1", "w1"])
    assert (second.find(5), second.find(6, version="w1")) == (answer(), answer("no"))
    assert (second.find(5, version="w1"), second.find(6)) == (None, None)


def test_an_answer_to_another_topics_event_is_not_taken_for_ones_own(broker: MemoryBroker) -> None:
    owner = Owner(broker)
    elsewhere = TopicPartition("other-events", SOURCE.partition)
    owner.results.restore({elsewhere: (PartitionProgress(FRESH), 0)})
    asyncio.run(owner.results.store(position(5, elsewhere), 0, answer()))
    assert Owner(broker).find(5) is None


def test_an_unreadable_answer_is_passed_over(broker: MemoryBroker) -> None:
    broker.append(OutgoingRecord(CONTRACT.topic, b"k", b"\x00\x00\x00\x00\x63", partition=SOURCE.partition))
    Owner(broker).store(5)
    assert Owner(broker).find(5) == answer()


def test_the_first_of_two_answers_to_one_call_counts(broker: MemoryBroker) -> None:
    owner = Owner(broker)
    owner.store(5, text="first")
    owner.store(5, text="second")
    assert Owner(broker).find(5) == answer("first")


def test_a_partition_given_up_takes_no_more_answers_and_its_last_are_in_the_log(broker: MemoryBroker) -> None:
    def come_back() -> None:
        broker.available = True

    async def release_while_it_waits() -> None:
        broker.available = False
        task = asyncio.create_task(owner.results.store(position(5), 0, answer()))
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().call_later(0.1, come_back)
        await asyncio.to_thread(owner.results.release, [SOURCE])
        assert len(broker.records(CONTRACT.topic)) == 1
        await task

    owner = Owner(broker)
    asyncio.run(release_while_it_waits())
    assert owner.find(5) is None
    with pytest.raises(UnavailableError, match="another instance"):
        owner.store(6)
    assert Owner(broker).find(5) == answer()


def test_a_partition_that_comes_back_brings_its_answers(broker: MemoryBroker) -> None:
    owner = Owner(broker)
    owner.store(5)
    owner.results.release([SOURCE])
    assert owner.find(5) is None
    owner.results.restore({SOURCE: (PartitionProgress(FRESH), 0)})
    assert owner.find(5) == answer()


def test_closing_lets_out_what_was_sent(broker: MemoryBroker) -> None:
    owner = Owner(broker)
    owner.store(5)
    owner.results.close()
    assert Owner(broker).find(5) == answer()


class Taciturn(MemoryProducer):
    """A producer whose broker recognises repetitions and does not say where the record is."""

    def send(
        self, record: OutgoingRecord, on_delivery: OnDelivery | None = None, on_offset: OnOffset | None = None
    ) -> None:
        del on_offset
        super().send(record, on_delivery)


class Broken(MemoryProducer):
    """A producer with a fault that nobody foresaw."""

    def flush(self, timeout_s: float) -> int:
        raise KeyError(timeout_s)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_results_thread_stops_the_service(broker: MemoryBroker) -> None:
    owner = Owner(broker, producer=Broken)
    owner.mark()
    with pytest.raises(UnavailableError):
        owner.store(5, seconds=0.2)
    with pytest.raises(RuntimeError, match="the results thread has failed"):
        owner.mark()


def test_an_answer_whose_offset_is_not_known_is_read_back_from_before_it(broker: MemoryBroker) -> None:
    Owner(broker).store(1)
    owner = Owner(broker, producer=Taciturn)
    owner.progress.admit(1)
    owner.progress.complete(1)
    owner.store(5)
    assert Owner(broker, owner.mark()).find(5) == answer()
