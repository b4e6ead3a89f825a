"""When a frozen writer counts as overtaken, and when it is back."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from headgate_runtime.testing import eventually

from tests.chaos.overlaps import Overlap

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Frozen:
    """A process that reads from a pipe for ever, and a clock."""

    process: subprocess.Popen[bytes]
    now_s: float = 0.0
    why_not_ready: str | None = "starting"
    spec: Any = field(init=False)

    def __post_init__(self) -> None:
        self.spec = self

    @property
    def worker_pid(self) -> int:
        return self.process.pid

    def ready(self) -> str | None:
        return self.why_not_ready

    def stopped(self) -> bool:
        return psutil.Process(self.worker_pid).status() == psutil.STATUS_STOPPED

    def overlap(self) -> Overlap:
        victim: Any = self
        return Overlap(victim, partitions=2, timeout_s=10.0, clock=lambda: self.now_s)


@pytest.fixture
def frozen() -> Iterator[Frozen]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with process:
        yield Frozen(process)
        process.kill()


def test_a_writer_stands_still_until_every_partition_was_moved_on_twice(frozen: Frozen) -> None:
    overlap = frozen.overlap()
    eventually(frozen.stopped, 5)
    for partition in (0, 0, 1):
        overlap.moved(partition)
        overlap.step()
    assert frozen.stopped()
    overlap.moved(1)
    overlap.step()
    eventually(lambda: not frozen.stopped(), 5)
    assert (overlap.overtaken, overlap.over) == (True, False)


def test_it_is_over_when_partitions_move_again_and_the_writer_is_ready(frozen: Frozen) -> None:
    overlap = frozen.overlap()
    for partition in (0, 1) * 2:
        overlap.moved(partition)
    overlap.step()
    for partition in (0, 1) * 2:
        overlap.moved(partition)
    overlap.step()
    assert not overlap.over
    frozen.why_not_ready = None
    overlap.step()
    assert overlap.over


def test_nobody_stands_still_for_ever(frozen: Frozen) -> None:
    overlap = frozen.overlap()
    frozen.now_s = 11.0
    overlap.step()
    eventually(lambda: not frozen.stopped(), 5)
    frozen.now_s = 22.0
    overlap.step()
    assert (overlap.overtaken, overlap.over) == (False, True)
