"""Whose turn it is, what a round waits for, and that nothing that goes wrong goes further."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from headgate_runtime.metrics import Metrics
from headgate_runtime.testing import MemoryBroker, eventually
from headgate_writer.maintenance.background import Background
from headgate_writer.maintenance.maintainer import Between, Pause, Wait, Work
from headgate_writer.maintenance.metrics import MaintenanceMetrics
from headgate_writer.maintenance.upkeep import Upkeep
from headgate_writer.testing import MemoryCatalog

from .replica import Replica, produce

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence


@dataclass
class Script:
    """A maintainer whose rounds wait for what the test says and end as it says."""

    waits: Sequence[Wait] = ()
    ends: list[bool | Exception] = field(default_factory=list)
    rounds: list[bool] = field(default_factory=list)
    steps: list[Any] = field(default_factory=list)
    closed: int = 0
    doing: str | None = None
    failure: str | None = None
    small = condemned = 0

    def round(self, *, everything: bool) -> Generator[Wait, Any, bool]:
        self.rounds.append(everything)
        try:
            for wait in self.waits:
                self.steps.append((yield wait))
            end = self.ends.pop(0) if self.ends else False
            if isinstance(end, Exception):
                raise end
            return end
        finally:
            self.closed += 1


@dataclass
class Rig:
    maintainers: dict[str, Script]
    now: float = 0.0

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.upkeep = Upkeep(
            Background(),
            MaintenanceMetrics(self.metrics),
            interval_s=60,
            clock=lambda: self.now,
            rng=random.Random(3),  # noqa: S311 - jitter
        )
        for table, script in self.maintainers.items():
            self.upkeep.keep(table, script)  # type: ignore[arg-type]  # it has what the upkeep asks for
        self.now = 60.0

    def tend(self, table: str = "a", *, leads: bool = True, free: bool = True, times: int = 1) -> None:
        for _ in range(times):
            self.upkeep.tend(table, leads=leads, free=free)


def test_a_replica_without_the_lowest_partition_maintains_nothing() -> None:
    script = Script()
    rig = Rig({"a": script})
    rig.tend(leads=False, times=3)
    assert script.rounds == []
    assert rig.upkeep.info()[0]["maintained_here"] is False


def test_a_round_waits_for_a_moment_between_commits_and_for_its_pauses() -> None:
    script = Script([Between(), Pause(5)])
    rig = Rig({"a": script})
    rig.tend(times=3, free=False)
    assert script.steps == []
    rig.tend()
    assert script.steps == [None]
    rig.tend(times=3)
    assert script.closed == 0
    rig.now += 5
    rig.tend()
    assert script.closed == 1
    rig.tend(times=3)
    assert len(script.rounds) == 1
    rig.now += 60
    rig.tend()
    assert len(script.rounds) == 2


def test_work_runs_beside_the_loop_and_its_result_comes_back() -> None:
    release = threading.Event()

    def work() -> str:
        assert release.wait(10)
        return threading.current_thread().name

    script = Script([Work(work)])
    rig = Rig({"a": script})
    rig.tend(times=5)
    assert script.steps == []
    release.set()
    eventually(lambda: rig.tend() or script.steps == ["maintenance"], 10)


def test_what_goes_wrong_is_counted_and_tried_again_later_and_a_success_forgets_it() -> None:
    script = Script([], [OSError("store away"), OSError("store away"), False])
    rig = Rig({"a": script})
    rig.tend()
    assert "store away" in str(rig.upkeep.info()[0]["failure"])
    rig.tend(times=5)
    assert len(script.rounds) == 1
    rig.now += 60
    rig.tend()
    assert len(script.rounds) == 2
    rig.now += 120
    rig.tend()
    assert rig.upkeep.info()[0]["failure"] is None
    labels = {"table": "a", "kind": "round", "outcome": "failed"}
    assert rig.metrics.registry.get_sample_value("headgate_writer_maintenance_runs_total", labels) == 2


def test_an_error_in_the_background_is_the_round_s() -> None:
    def work() -> None:
        raise PermissionError("no")

    script = Script([Work(work)])
    rig = Rig({"a": script})
    rig.tend()
    eventually(lambda: rig.tend() or script.failure is not None, 10)
    assert script.closed == 1


def test_one_table_is_maintained_at_a_time_and_the_other_is_next() -> None:
    first, second = Script([Pause(1)]), Script([Pause(1)])
    rig = Rig({"a": first, "b": second})
    rig.tend("a")
    rig.tend("b")
    assert (len(first.rounds), len(second.rounds)) == (1, 0)
    rig.now += 1
    rig.tend("a")
    rig.tend("b")
    assert (first.closed, len(second.rounds)) == (1, 1)


def test_a_round_with_more_to_do_rests_as_long_as_it_worked() -> None:
    script = Script([Pause(7)], [True, False])
    rig = Rig({"a": script})
    rig.tend()
    rig.now += 7
    rig.tend()
    rig.now += 6
    rig.tend()
    assert len(script.rounds) == 1
    rig.now += 1
    rig.tend()
    assert len(script.rounds) == 2


def test_a_replica_that_loses_the_partition_gives_the_round_up() -> None:
    script = Script([Pause(0), Pause(0)])
    rig = Rig({"a": script})
    rig.tend()
    rig.tend(leads=False)
    assert script.closed == 1
    assert script.steps == []


def test_a_request_is_done_at_once_and_whole_by_the_replica_that_leads() -> None:
    first, second = Script(), Script()
    rig = Rig({"a": first, "b": second})
    rig.tend("a")
    rig.tend("b", leads=False)
    assert rig.upkeep.request(None) == {"a": True, "b": False}
    rig.tend("a")
    rig.tend("b", leads=False)
    assert first.rounds == [False, True]
    assert second.rounds == []
    with pytest.raises(KeyError):
        rig.upkeep.request(["c"])


def test_commits_go_on_while_maintenance_fails_and_a_drain_does_not_wait_for_it() -> None:
    broker, catalog = MemoryBroker(), MemoryCatalog()
    broker.create_topic("events", 2)
    broker.create_topic("events.dlq", 1)
    script = Script([Between()], [RuntimeError("broken")] * 50)
    replica = Replica(broker, catalog, maintainers={"lake.events": script})
    for _ in range(5):
        produce(broker, 10)
        replica.step(8, seconds=5)
    assert len(catalog.rows) == 50
    assert len(script.rounds) > 1
    begun = len(script.rounds)
    replica.step(5, seconds=500, draining=True)
    assert len(script.rounds) == begun
    assert not replica.worker.busy()


def test_a_table_that_is_opened_anew_gets_a_new_maintainer_and_its_round_ends() -> None:
    old, new = Script(), Script()
    rig = Rig({"a": old})
    rig.tend()
    rig.upkeep.keep("a", new)  # type: ignore[arg-type]  # it has what the upkeep asks for
    assert old.closed == 1
    rig.now += 120.0
    rig.tend()
    assert (len(old.rounds), len(new.rounds)) == (1, 1)
