from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from headgate_runtime.errors import FencedError
from headgate_runtime.loop import Loop
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_runtime.testing import MemoryBroker, MemoryConsumer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TOPIC, GROUP = "events", "group"
FIRST = TopicPartition(TOPIC, 0)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class RecordingWorker:
    """Commits what it has processed when partitions go; ``script`` runs in each tick."""

    def __init__(self, consumer: MemoryConsumer) -> None:
        self.consumer = consumer
        self.calls: list[str] = []
        self.values: list[bytes | None] = []
        self.next_offsets: dict[TopicPartition, int] = {}
        self.is_congested = False
        self.is_busy = False
        self.drained: list[bool] = []
        self.script: Callable[[int], None] = lambda _: None
        self.ticks = 0

    def assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self._note("assign", partitions)
        return {}

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        self._note("revoke", partitions)
        self.consumer.commit(self.next_offsets)

    def lose(self, partitions: Sequence[TopicPartition]) -> None:
        self._note("lose", partitions)

    def _note(self, call: str, partitions: Sequence[TopicPartition]) -> None:
        assert all(partition.topic == TOPIC for partition in partitions)
        self.calls.append(call)

    def process(self, records: list[Record]) -> None:
        for record in records:
            self.values.append(record.value)
            self.next_offsets[record.source] = record.offset + 1

    def tick(self, *, draining: bool) -> None:
        self.ticks += 1
        self.drained.append(draining)
        self.script(self.ticks)

    def congested(self) -> bool:
        return self.is_congested

    def busy(self) -> bool:
        return self.is_busy

    def close(self) -> None:
        self.calls.append("close")


class Bench:
    def __init__(self, *, partitions: int = 1, drain_timeout_s: float = 5) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic(TOPIC, partitions)
        self.consumer = MemoryConsumer(self.broker, GROUP)
        self.worker = RecordingWorker(self.consumer)
        self.clock = Clock()
        self.metrics = Metrics()
        self.loop = Loop(
            self.consumer,
            self.worker,
            topics=[TOPIC],
            drain_timeout_s=drain_timeout_s,
            metrics=self.metrics,
            max_records=10,
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def produce(self, *values: bytes) -> None:
        for value in values:
            self.broker.append(OutgoingRecord(TOPIC, b"k", value, partition=0))

    def run(self, *steps: Callable[[], object]) -> None:
        """Run the loop, one step a tick, then stop."""

        def script(tick: int) -> None:
            if tick <= len(steps):
                steps[tick - 1]()
            if tick >= len(steps):
                self.loop.stop()

        self.worker.script = script
        self.loop.run()

    def wait_s(self, seconds: float) -> Callable[[], None]:
        return lambda: self.clock.sleep(seconds)


def test_records_reach_the_worker_and_a_stop_commits_then_closes() -> None:
    bench = Bench()
    bench.produce(b"a", b"b")
    bench.run(lambda: None)
    assert bench.worker.values == [b"a", b"b"]
    assert bench.worker.calls == ["assign", "revoke", "close"]
    assert bench.broker.committed(GROUP) == {FIRST: 2}
    assert bench.metrics.registry.get_sample_value("headgate_records_consumed_total", {"topic": TOPIC}) == 2


def test_a_batch_is_no_larger_than_asked_for() -> None:
    bench = Bench()
    bench.produce(*[b"v"] * 25)
    sizes: list[int] = []
    bench.run(*[lambda: sizes.append(len(bench.worker.values))] * 3)
    assert sizes == [10, 20, 25]


def test_a_pause_stops_consuming_and_keeps_ticking_until_resumed() -> None:
    bench = Bench()
    seen: list[int] = []
    bench.run(
        bench.loop.pause,
        lambda: bench.produce(b"held"),
        lambda: seen.append(len(bench.worker.values)),
        lambda: seen.append(int(bench.loop.snapshot().paused)),
        bench.loop.resume,
        lambda: seen.append(len(bench.worker.values)),
    )
    assert seen == [0, 1, 1]


def test_partitions_that_come_while_paused_are_paused_too() -> None:
    bench = Bench(partitions=2)
    other = MemoryConsumer(bench.broker, GROUP)
    other.subscribe([TOPIC], on_assign=lambda _: {}, on_revoke=lambda _: None, on_lost=lambda _: None)
    other.poll(1, 0)
    seen: list[tuple[int, int]] = []

    def look() -> None:
        seen.append((len(bench.consumer.assignment()), len(bench.worker.values)))

    bench.run(
        bench.loop.pause,
        lambda: other.poll(1, 0),
        look,
        other.close,
        lambda: bench.produce(b"held"),
        lambda: None,
        look,
        bench.loop.resume,
        look,
    )
    assert seen == [(1, 0), (2, 0), (2, 1)]


def test_a_drain_is_not_ready_and_takes_nothing_until_resumed() -> None:
    bench = Bench()
    seen: list[object] = []
    bench.run(
        bench.loop.drain,
        lambda: bench.produce(b"held"),
        lambda: seen.append((bench.loop.snapshot().draining, bench.worker.values[:])),
        bench.loop.resume,
        lambda: seen.append((bench.loop.snapshot().draining, bench.worker.values[:])),
    )
    assert seen == [(True, []), (False, [b"held"])]
    assert bench.worker.drained == [False, True, True, True, False]


def test_a_congested_worker_gets_nothing_until_it_has_room() -> None:
    bench = Bench()
    seen: list[int] = []

    def congest() -> None:
        bench.worker.is_congested = True
        bench.produce(b"held")

    def relieve() -> None:
        seen.append(len(bench.worker.values))
        bench.worker.is_congested = False

    bench.run(congest, bench.wait_s(0.1), relieve, lambda: seen.append(len(bench.worker.values)))
    assert seen == [0, 1]


def test_a_long_congestion_still_polls_so_that_the_group_keeps_the_member() -> None:
    bench = Bench(partitions=2)
    other = MemoryConsumer(bench.broker, GROUP)
    other.subscribe([TOPIC], on_assign=lambda _: {}, on_revoke=lambda _: None, on_lost=lambda _: None)

    def congest() -> None:
        bench.worker.is_congested = True
        bench.produce(b"held")

    bench.run(congest, bench.wait_s(2.0), lambda: other.poll(0, 0), lambda: None, lambda: None)
    assert bench.worker.calls[:2] == ["assign", "revoke"]
    assert bench.worker.values == []


def test_a_stop_waits_for_what_is_in_flight_and_takes_nothing_new() -> None:
    bench = Bench()
    bench.worker.is_busy = True

    def finish(tick: int) -> None:
        if tick == 1:
            bench.loop.stop()
            bench.produce(b"late")
        bench.worker.is_busy = tick < 5

    bench.worker.script = finish
    bench.loop.run()
    assert bench.worker.drained == [False, True, True, True, True]
    assert bench.worker.values == []
    assert bench.worker.calls == ["assign", "revoke", "close"]


def test_a_stop_does_not_wait_beyond_its_deadline() -> None:
    bench = Bench(drain_timeout_s=3)
    bench.worker.is_busy = True

    def step(_: int) -> None:
        bench.loop.stop()
        bench.clock.sleep(1)

    bench.worker.script = step
    bench.loop.run()
    assert bench.worker.ticks <= 5
    assert bench.worker.calls == ["assign", "lose", "close"]


def test_a_worker_fault_comes_out_with_everything_closed_and_nothing_committed() -> None:
    bench = Bench()
    bench.produce(b"a")
    fault = FencedError("another instance")

    def fail(_: int) -> None:
        raise fault

    bench.worker.script = fail
    with pytest.raises(FencedError) as caught:
        bench.loop.run()
    assert caught.value is fault
    assert bench.worker.calls == ["assign", "lose", "close"]
    assert bench.broker.committed(GROUP) == {}
    assert bench.consumer.assignment() == []


def test_a_fault_in_closing_does_not_hide_the_first_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    def fail(_: object = None) -> None:
        raise OSError("second")

    def fail_first(_: int) -> None:
        raise FencedError("first")

    monkeypatch.setattr(bench.consumer, "close", fail)
    monkeypatch.setattr(bench.worker, "close", fail)
    bench.worker.script = fail_first
    with pytest.raises(FencedError, match="first"):
        bench.loop.run()


def test_a_fault_in_closing_alone_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    def fail() -> None:
        raise OSError("cannot close")

    monkeypatch.setattr(bench.worker, "close", fail)
    with pytest.raises(OSError, match="cannot close"):
        bench.run(lambda: None)


def test_lost_partitions_are_dropped_and_come_back_with_a_new_assignment() -> None:
    bench = Bench()
    bench.run(bench.consumer.expire, lambda: None)
    assert bench.worker.calls[:3] == ["assign", "lose", "assign"]


def test_the_age_of_the_last_tick_grows_while_the_worker_is_stuck() -> None:
    bench = Bench()
    ages: list[float] = []

    def stuck() -> None:
        bench.clock.sleep(90)
        ages.append(bench.loop.snapshot().last_tick_age_s)

    bench.run(stuck)
    assert 90 <= ages[0] < 91
    assert bench.metrics.registry.get_sample_value("headgate_poll_age_seconds") is not None


def test_the_snapshot_shows_assignment_positions_and_lag() -> None:
    bench = Bench()
    bench.produce(*[b"v"] * 12)
    assert not bench.loop.snapshot().joined
    bench.run(bench.wait_s(1), lambda: None)
    state = bench.loop.snapshot()
    assert state.joined
    assert state.assignment == (FIRST,)
    assert state.positions == {FIRST: 12}
    assert state.lag == {FIRST: 0}
    assert (
        bench.metrics.registry.get_sample_value("headgate_consumer_lag_records", {"topic": TOPIC, "partition": "0"})
        == 0
    )
    assert bench.metrics.registry.get_sample_value("headgate_loop_state", {"headgate_loop_state": "stopped"}) == 1
