"""Several topics into one table, topics that come late, and dead letters that have nowhere to go but the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from headgate_runtime.errors import ConfigurationError, UnavailableError
from headgate_runtime.testing import MemoryBroker
from headgate_writer.positions import Incarnation, Positions
from headgate_writer.testing import Fault, MemoryCatalog
from prometheus_client import generate_latest

from .replica import TOPIC, Replica, everything, produce

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_writer.sink import Sink

OTHERS = Incarnation("others", "cluster", "id")
BOTH = ("events", "others")


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic("events", 2)
    broker.create_topic("others", 3)
    broker.create_topic("events.dlq", 1)
    return broker


@pytest.fixture
def catalog() -> MemoryCatalog:
    return MemoryCatalog()


def stored(catalog: MemoryCatalog, life: Incarnation) -> Mapping[int, int]:
    assert catalog.positions is not None
    return catalog.positions.of(life)


def test_two_topics_of_a_table_land_in_one_commit_with_one_map(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 10)
    produce(broker, 9, topic="others")
    replica = Replica(broker, catalog, topics=BOTH)
    replica.step(6)
    replica.step(2, seconds=5)
    assert sorted(catalog.rows) == everything(broker, *BOTH)
    assert len(catalog.history) == 1
    assert stored(catalog, TOPIC) == {0: 5, 1: 5}
    assert stored(catalog, OTHERS) == {0: 3, 1: 3, 2: 3}
    assert replica.sink.info()["topics"] == ["events", "others"]


@pytest.mark.parametrize("fault", ["conflict", "lost", "landed", "refresh"])
def test_replicas_share_two_topics_of_a_table_and_lose_and_double_nothing(
    broker: MemoryBroker, catalog: MemoryCatalog, fault: Fault
) -> None:
    first, second = Replica(broker, catalog, topics=BOTH), Replica(broker, catalog, topics=BOTH)
    for number in range(30):
        produce(broker, 5)
        produce(broker, 4, topic="others")
        first.table.faults = [fault] if number % 5 == 2 else []
        first.step(2, seconds=1)
        second.step(seconds=2)
    for _ in range(20):
        first.step(seconds=20)
        second.step(seconds=20)
    assert first.consumer.assignment()
    assert second.consumer.assignment()
    assert sorted(catalog.rows) == everything(broker, *BOTH)


def test_the_second_topic_of_a_table_starts_beside_the_first(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 4)
    produce(broker, 3, topic="others")
    catalog.swap(None, [], Positions().advanced(TOPIC, {0: 2, 1: 2}))
    Replica(broker, catalog, topics=BOTH).step(8, seconds=5)
    assert sorted(catalog.rows) == everything(broker, "others")


def test_a_topic_that_does_not_exist_yet_is_read_once_it_has_come(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 4)
    replica = Replica(broker, catalog, topics=("events", "later"))
    replica.step(4, seconds=5)
    assert len(catalog.rows) == 4
    assert "headgate topics apply" in replica.routes.missing["later"]
    broker.create_topic("later", 1)
    produce(broker, 3, topic="later")
    replica.step(10, seconds=5)
    assert sorted(catalog.rows) == everything(broker, "events", "later")
    assert replica.routes.missing == {}


def test_a_topic_that_comes_and_cannot_be_opened_keeps_its_reason_and_stops_no_other(
    broker: MemoryBroker, catalog: MemoryCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Replica(broker, catalog, topics=("events", "later"))
    broker.create_topic("later", 1)

    def refuse(_: str) -> Sink:
        raise ConfigurationError("later is not registered")

    monkeypatch.setattr(replica.routes, "_open_topic", refuse)
    produce(broker, 4)
    replica.step(10, seconds=5)
    assert replica.routes.missing == {"later": "later is not registered"}
    assert sorted(catalog.rows) == everything(broker)


def test_an_outage_while_looking_for_a_topic_passes(
    broker: MemoryBroker, catalog: MemoryCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Replica(broker, catalog, topics=("events", "later"))
    replica.step()

    def away() -> dict[str, Incarnation]:
        raise UnavailableError("brokers away")

    with monkeypatch.context() as patch:
        patch.setattr(replica.routes, "identify", away)
        replica.step(10, seconds=5)
    broker.create_topic("later", 1)
    replica.step(10, seconds=5)
    assert replica.routes.topics == ["events", "later"]


def test_a_writer_without_any_topic_does_not_start(catalog: MemoryCatalog) -> None:
    with pytest.raises(ConfigurationError, match="none of the topics absent: run `headgate topics apply`"):
        Replica(MemoryBroker(), catalog, life=Incarnation("x", "cluster", "id"), topics=("absent",))


def test_what_cannot_be_a_row_of_a_dead_letter_topic_is_stored_as_a_letter_about_itself(
    broker: MemoryBroker, catalog: MemoryCatalog
) -> None:
    topics = ("events", "events.dlq")
    produce(broker, 4, b"bad")
    produce(broker, 2, b"not even a letter", topic="events.dlq")
    replica = Replica(broker, catalog, topics=topics)
    replica.step(30, seconds=5)
    assert len(broker.records("events.dlq")) == 2 + 4
    assert sorted(catalog.rows) == everything(broker, "events.dlq")
    shown = generate_latest(replica.metrics.registry).decode()
    assert 'dead_letters_total{cause="undecodable",topic="events.dlq"} 2.0' in shown
    assert 'dead_letters_total{cause="undecodable",topic="events"} 4.0' in shown
