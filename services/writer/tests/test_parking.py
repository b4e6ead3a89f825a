"""What is not safe to write waits for a person: in a parked table, said in /info, and resolved by one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from headgate_runtime.errors import UnavailableError
from headgate_runtime.testing import MemoryBroker, MemoryConsumer
from headgate_writer.app import why_parked, why_stalled
from headgate_writer.errors import Acceptance, UnsafeToWriteError
from headgate_writer.positions import Incarnation, Positions
from headgate_writer.testing import MemoryCatalog

from .replica import TOPIC, Replica, everything, produce

if TYPE_CHECKING:
    from headgate_writer.table import Head

AGAIN = Incarnation("events", "cluster", "new")


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic("events", 2)
    broker.create_topic("events.dlq", 1)
    return broker


@pytest.fixture
def catalog() -> MemoryCatalog:
    return MemoryCatalog()


def reason(replica: Replica) -> str:
    assert replica.sink.parked is not None
    return str(replica.sink.parked)


def shown_as_parked(replica: Replica) -> float | None:
    return replica.metrics.registry.get_sample_value("headgate_writer_parked_tables", {"table": "lake.events"})


def begins_at(monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    def begins(_: MemoryConsumer, partitions: Any) -> dict[Any, int]:
        return dict.fromkeys(partitions, offset)

    monkeypatch.setattr(MemoryConsumer, "begin_offsets", begins)


def test_positions_beyond_the_log_park_the_table(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    catalog.swap(None, [], Positions().advanced(TOPIC, {1: 500}))
    replica = Replica(broker, catalog)
    replica.step()
    assert "events/1: the table holds records up to offset 500 and the log ends at 0" in reason(replica)


def test_a_parked_table_is_not_ready_says_why_and_asks_for_no_restart(
    broker: MemoryBroker, catalog: MemoryCatalog
) -> None:
    produce(broker, 20)
    catalog.swap(None, [], Positions().advanced(AGAIN, {0: 2}))
    replica = Replica(broker, catalog)
    replica.step(3, seconds=1)
    assert "lake.events is parked: the table holds rows of events/cluster/new" in str(why_parked([replica.sink]))
    replica.now[0] += 500
    assert replica.sink.stalled_s >= 500
    assert why_stalled([replica.sink], 300) is None
    parked = replica.sink.info()["parked"]
    assert parked["accept"] == {"incarnation": "events/cluster/id"}
    assert shown_as_parked(replica) == 1
    assert not replica.worker.busy()
    assert catalog.rows == []


@pytest.mark.parametrize("running", [False, True], ids=["at the start", "while running"])
def test_a_topic_that_was_created_again_is_stored_from_its_start_once_accepted(
    broker: MemoryBroker, catalog: MemoryCatalog, *, running: bool
) -> None:
    produce(broker, 20)
    replica = Replica(broker, catalog, life=TOPIC if running else AGAIN)
    if running:
        replica.step(10, seconds=5)
        replica.life = AGAIN
        replica.consumer.expire()
    else:
        catalog.swap(None, everything(broker), Positions().advanced(TOPIC, {0: 10, 1: 10}))
    replica.step(4, seconds=1)
    stored = len(catalog.rows)
    assert "created again" in reason(replica)
    assert replica.worker.accept(Acceptance("incarnation", "events/cluster/other")) is False
    assert replica.worker.accept(Acceptance("incarnation", str(AGAIN))) is True
    replica.step(10, seconds=5)
    assert replica.sink.parked is None
    assert shown_as_parked(replica) == 0
    assert sorted(catalog.rows) == sorted([*everything(broker), *everything(broker)])
    assert stored == 20


def test_records_that_left_the_log_are_gone_without_once_accepted(
    broker: MemoryBroker, catalog: MemoryCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    produce(broker, 20)
    catalog.swap(None, [], Positions().advanced(TOPIC, {0: 2, 1: 10}))
    begins_at(monkeypatch, 6)
    replica = Replica(broker, catalog)
    replica.step(8, seconds=1)
    assert "events/0: records 2 to 5 left the log" in reason(replica)
    assert "'events/0/2' in its list accepted_losses" in reason(replica)
    assert catalog.rows == []
    assert replica.worker.accept(Acceptance("loss", "events/0/2"))
    replica.step(8, seconds=5)
    assert sorted(catalog.rows) == [(0, 6), (0, 7), (0, 8), (0, 9)]


def test_what_the_settings_let_pass_parks_nothing(
    broker: MemoryBroker, catalog: MemoryCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    produce(broker, 20)
    catalog.swap(None, [], Positions().advanced(TOPIC, {0: 2, 1: 10}))
    begins_at(monkeypatch, 6)
    Replica(broker, catalog, accepted=(Acceptance("loss", "events/0/2"),)).step(8, seconds=5)
    assert sorted(catalog.rows) == [(0, 6), (0, 7), (0, 8), (0, 9)]


def test_a_table_that_was_dropped_is_opened_anew_once_accepted(
    broker: MemoryBroker, catalog: MemoryCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    produce(broker, 20)
    replica = Replica(broker, catalog)
    replica.step(10, seconds=5)
    dropped, accept = replica.table, Acceptance("table", "lake.events")

    def refresh() -> Head:
        raise UnsafeToWriteError("table lake.events was dropped", accept)

    monkeypatch.setattr(dropped, "refresh", refresh)
    produce(broker, 6)
    replica.step(6, seconds=5)
    assert reason(replica) == "table lake.events was dropped"
    catalog.rows, catalog.positions = [], Positions()

    def away() -> None:
        raise UnavailableError("catalog away")

    with monkeypatch.context() as patch:
        patch.setattr(replica, "_reopen", away)
        object.__setattr__(replica.sink.parts, "reopen", away)
        assert replica.worker.accept(accept)
        replica.step()
        assert replica.sink.parked is not None
    object.__setattr__(replica.sink.parts, "reopen", replica._reopen)
    assert replica.worker.accept(accept)
    replica.step(20, seconds=5)
    assert sorted(catalog.rows) == everything(broker)


def test_a_table_that_was_put_right_goes_on_by_itself(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    produce(broker, 20)
    catalog.swap(None, [], Positions())
    kept, catalog.positions = catalog.positions, None
    replica = Replica(broker, catalog)
    replica.step(3, seconds=5)
    assert "Roll back to a snapshot that carries it" in reason(replica)
    catalog.positions = kept
    replica.step(20, seconds=5)
    assert replica.sink.parked is None
    assert sorted(catalog.rows) == everything(broker)


def test_a_table_rolled_back_to_an_older_snapshot_gets_the_dropped_rows_again_once(
    broker: MemoryBroker, catalog: MemoryCatalog
) -> None:
    produce(broker, 20)
    replica = Replica(broker, catalog)
    replica.step(10, seconds=5)
    older, rows = catalog.positions, list(catalog.rows)
    produce(broker, 20)
    replica.step(10, seconds=5)
    assert len(catalog.rows) == 40
    catalog.positions, catalog.rows = older, rows
    catalog.touch()
    produce(broker, 4)
    replica.step(20, seconds=5)
    assert replica.sink.parked is None
    assert sorted(catalog.rows) == everything(broker)


@pytest.mark.parametrize("away", [False, True], ids=["parked", "catalog away"])
def test_other_tables_go_on_beside_one_that_cannot_be_written(
    broker: MemoryBroker, catalog: MemoryCatalog, monkeypatch: pytest.MonkeyPatch, *, away: bool
) -> None:
    broker.create_topic("others", 1)
    others = MemoryCatalog()
    replica = Replica(broker, catalog, topics=("events", "others"), elsewhere={"others": others})
    if away:

        def refresh() -> Head:
            raise UnavailableError("catalog away")

        monkeypatch.setattr(replica.table, "refresh", refresh)
    else:
        catalog.swap(None, [], Positions().advanced(AGAIN, {0: 2}))
    for _ in range(10):
        produce(broker, 4)
        produce(broker, 3, topic="others")
        replica.step(3, seconds=3)
    replica.step(20, seconds=3)
    assert sorted(others.rows) == everything(broker, "others")
    assert catalog.rows == []
    if away:
        monkeypatch.undo()
    else:
        assert replica.worker.accept(Acceptance("incarnation", str(TOPIC)))
    replica.step(60, seconds=5)
    assert sorted(catalog.rows) == everything(broker)


def test_a_parked_table_lets_its_partitions_go(broker: MemoryBroker, catalog: MemoryCatalog) -> None:
    catalog.swap(None, [], Positions().advanced(AGAIN, {0: 2}))
    replica = Replica(broker, catalog)
    replica.step(2)
    assert replica.sink.parked is not None
    replica.consumer.close()
    assert replica.consumer.assignment() == []
