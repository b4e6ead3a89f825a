"""The worker between a broker in memory and a table in memory."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.errors import FencedError, HeadgateError, RejectedError, UnavailableError
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.testing import MemoryBroker, MemoryConsumer
from headgate_writer.app import why_stalled
from headgate_writer.positions import Positions
from headgate_writer.testing import Fault, MemoryCatalog
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from .replica import TOPIC, HeldProducer, Replica, everything, produce

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic("events", 2)
    broker.create_topic("events.dlq", 1)
    return broker


@pytest.fixture
def catalog() -> MemoryCatalog:
    return MemoryCatalog()


def test_rows_land_once_and_the_group_is_told(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 30)
    replica = Replica(broker, catalog)
    replica.step(8)
    assert catalog.rows == []
    assert replica.worker.busy()
    replica.step(2, seconds=5)
    assert sorted(catalog.rows) == everything(broker)
    assert not replica.worker.busy()
    assert broker.committed("writer") == {TopicPartition("events", 0): 15, TopicPartition("events", 1): 15}
    assert replica.sink.info()["positions"] == {"events/0": 15, "events/1": 15}
    shown = generate_latest(replica.metrics.registry).decode()
    assert 'headgate_writer_rows_total{table="lake.events"} 30.0' in shown
    assert 'headgate_writer_freshness_seconds_bucket{le="2.0",since="event",table="lake.events"} 30.0' in shown
    assert 'headgate_writer_freshness_seconds_bucket{le="1.5",since="event",table="lake.events"} 0.0' in shown


def test_the_group_s_offsets_decide_nothing(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 20)
    first = Replica(broker, catalog)
    first.step(8, seconds=5)
    fresh = MemoryCatalog()
    first.consumer.close()
    Replica(broker, fresh).step(8, seconds=5)
    assert sorted(fresh.rows) == everything(broker)


def test_a_partition_that_moves_is_committed_before_it_goes(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 40)
    first, second = Replica(broker, catalog), Replica(broker, catalog)
    first.step(3)
    for _ in range(30):
        first.step(seconds=1)
        second.step(seconds=1)
    assert first.consumer.assignment()
    assert second.consumer.assignment()
    assert sorted(catalog.rows) == everything(broker)


def test_the_group_is_told_now_and_then_and_never_waited_for(
    broker: MemoryBroker, catalog: MemoryCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, bool]] = []

    def commit(_: MemoryConsumer, offsets: Mapping[TopicPartition, int], *, wait: bool = True) -> None:
        told.append((sum(offsets.values()), wait))

    monkeypatch.setattr(MemoryConsumer, "commit", commit)
    replica = Replica(broker, catalog)
    for _ in range(40):
        produce(broker, 2)
        replica.worker.request_commit()
        replica.step(seconds=0.25)
    assert len(catalog.history) >= 30
    assert len(told) == 4
    replica.consumer.close()
    assert told[-1] == (80, False)


@pytest.mark.parametrize(("error", "ends"), [(FencedError("taken over"), True), (UnavailableError("away"), False)])
def test_fencing_ends_the_writer_and_an_absent_coordinator_does_not(
    broker: MemoryBroker,
    catalog: MemoryCatalog,
    monkeypatch: pytest.MonkeyPatch,
    error: HeadgateError,
    *,
    ends: bool,
) -> None:
    def commit(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(MemoryConsumer, "commit", commit)
    replica = Replica(broker, catalog)
    with pytest.raises(FencedError) if ends else nullcontext():
        replica.step()


@pytest.mark.parametrize("fault", ["conflict", "lost", "refresh"])
def test_a_batch_in_flight_and_a_full_buffer_both_land_before_partitions_go(
    broker: MemoryBroker, catalog: MemoryCatalog, fault: Fault
) -> None:
    produce(broker, 20)
    replica = Replica(broker, catalog)
    replica.step(4)
    replica.table.faults = [fault]
    replica.worker.request_commit()
    replica.step(limit=1)
    produce(broker, 20)
    replica.step(5)
    assert catalog.rows == []
    replica.consumer.close()
    assert sorted(catalog.rows) == everything(broker)


def test_a_zombie_is_fenced_and_goes_on_from_the_head(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 60)
    first, zombie = Replica(broker, catalog, group="one"), Replica(broker, catalog, group="two")
    for _ in range(60):
        first.step(seconds=2, limit=5)
        zombie.step(seconds=3, limit=8)
    assert sorted(catalog.rows) == everything(broker)
    shown = generate_latest(first.metrics.registry).decode() + generate_latest(zombie.metrics.registry).decode()
    assert 'outcome="fenced"' in shown


def test_a_catalog_that_is_away_at_the_start_delays_and_loses_nothing(
    broker: MemoryBroker, catalog: MemoryCatalog
) -> None:
    catalog.swap(None, [], Positions().advanced(TOPIC, {0: 3}))
    produce(broker, 20)
    replica = Replica(broker, catalog)
    replica.table.faults = ["refresh", "refresh"]
    replica.step()
    assert replica.worker.congested()
    assert replica.sink.info()["failure"] == "catalog away"
    replica.now[0] += 40
    assert "nothing committed for 40 s: catalog away" in str(why_stalled([replica.sink], 30))
    replica.step(10, seconds=20)
    assert sorted(catalog.rows) == [
        position for position in everything(broker) if position not in {(0, 0), (0, 1), (0, 2)}
    ]
    assert replica.sink.info()["failure"] is None


def test_a_stall_shows_and_passes(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 20)
    replica = Replica(broker, catalog)
    replica.step(5)
    replica.table.faults = ["refresh"] * 4
    replica.step(3, seconds=20)
    assert "lake.events: nothing committed for 60 s: catalog away" in str(why_stalled([replica.sink], 30))
    replica.step(10, seconds=20)
    assert why_stalled([replica.sink], 30) is None
    assert sorted(catalog.rows) == everything(broker)


def test_an_outage_of_the_registry_holds_the_records(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 20)
    replica = Replica(broker, catalog)
    replica.values.away = True
    replica.step(3)
    assert replica.worker.congested()
    assert replica.worker.busy()
    replica.now[0] += 40
    assert "nothing committed for 40 s: registry away" in str(why_stalled([replica.sink], 30))
    replica.values.away = False
    replica.step(10, seconds=5)
    assert sorted(catalog.rows) == everything(broker)


def test_a_lost_partition_s_rows_are_dropped_and_read_again(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 20)
    replica = Replica(broker, catalog)
    replica.step(5)
    replica.consumer.expire()
    replica.step()
    assert catalog.rows == []
    replica.step(10, seconds=5)
    assert sorted(catalog.rows) == everything(broker)


def test_a_dead_letter_is_acknowledged_before_its_offset_is_passed(
    broker: MemoryBroker, catalog: MemoryCatalog
) -> None:
    produce(broker, 1)
    broker.append(OutgoingRecord("events", None, b"bad", partition=0))
    producer = HeldProducer()
    replica = Replica(broker, catalog, producer=producer)
    replica.step(4, seconds=5)
    assert catalog.history == []
    assert producer.acknowledge(UnavailableError("timed out")) == b"events/0/1"
    replica.step(2, seconds=5)
    assert catalog.history == []
    assert producer.acknowledge() == b"events/0/1"
    replica.step(2, seconds=5)
    assert catalog.rows == [(0, 0)]
    assert replica.sink.info()["positions"] == {"events/0": 2}


def test_a_dead_letter_nobody_acknowledged_does_not_keep_the_writer_from_closing(
    broker: MemoryBroker, catalog: MemoryCatalog
) -> None:
    produce(broker, 1, b"bad")
    replica = Replica(broker, catalog, producer=HeldProducer())
    replica.step(3, seconds=5)
    with capture_logs() as logs:
        replica.worker.close()
    assert "1 not acknowledged within 1.0 s" in logs[-1]["error"]
    assert catalog.history == []


def test_a_dead_letter_that_is_refused_stops_the_writer(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 1, b"bad")
    producer = HeldProducer()
    replica = Replica(broker, catalog, producer=producer)
    producer.full = True
    replica.step(2)
    assert producer.waiting == []
    producer.full = False
    replica.step(2)
    producer.acknowledge(RejectedError("too large"))
    with pytest.raises(RejectedError, match="too large"):
        replica.step()
    assert catalog.history == []


def test_a_batch_of_dead_letters_alone_moves_the_positions(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 4, b"bad")
    replica = Replica(broker, catalog)
    replica.step(6, seconds=5)
    assert catalog.rows == []
    assert catalog.positions is not None
    assert catalog.positions.of(TOPIC) == {0: 2, 1: 2}
    assert len(broker.records("events.dlq")) == 4


def test_a_commit_on_request_does_not_wait(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 4)
    replica = Replica(broker, catalog)
    replica.step(2)
    replica.worker.request_commit()
    replica.step()
    assert sorted(catalog.rows) == everything(broker)


def test_a_drain_does_not_wait_for_the_policy(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 4)
    replica = Replica(broker, catalog)
    replica.step(2)
    assert replica.worker.busy()
    replica.step(draining=True)
    assert not replica.worker.busy()
    assert sorted(catalog.rows) == everything(broker)


def test_consumption_waits_while_memory_is_full(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 40)
    replica = Replica(broker, catalog, max_buffered_bytes=100)
    replica.step(2)
    assert replica.worker.congested()
    replica.step(20, seconds=5)
    assert sorted(catalog.rows) == everything(broker)
