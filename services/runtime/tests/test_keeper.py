"""A keeper and its workers, as real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from headgate_runtime.keeper import _Child
from headgate_runtime.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = Path(__file__).with_name("sample_worker.py")
ENDS_S = 30.0


class Kept:
    def __init__(self, told: Path, behaviour: str) -> None:
        self._told = told
        self.popen = subprocess.Popen([sys.executable, str(WORKER), str(told), behaviour])  # noqa: S603 - ours

    def lines(self) -> list[str]:
        return self._told.read_text().splitlines() if self._told.exists() else []

    def worker(self, number: int) -> int:
        """The pid of a worker that has begun."""
        line = eventually(lambda: self.lines()[number : number + 1], ENDS_S)[0]
        assert line.startswith(f"{number} ")
        return int(line.split()[1])


@pytest.fixture
def kept(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Kept]:
    kept = Kept(tmp_path / "told", getattr(request, "param", "wait"))
    yield kept
    kept.popen.kill()
    kept.popen.wait()


def test_a_killed_worker_is_replaced_and_the_next_one_knows(kept: Kept) -> None:
    first = kept.worker(0)
    os.kill(first, signal.SIGKILL)
    second = kept.worker(1)
    assert second != first
    assert kept.popen.poll() is None


def test_a_signal_to_end_is_passed_on_once_and_the_workers_exit_code_is_the_processs(kept: Kept) -> None:
    kept.worker(0)
    kept.popen.send_signal(signal.SIGTERM)
    assert kept.popen.wait(ENDS_S) == 0
    assert kept.lines()[1:] == ["told to end"]


def test_a_worker_dies_with_its_keeper(kept: Kept) -> None:
    worker = psutil.Process(kept.worker(0))
    kept.popen.kill()
    kept.popen.wait()
    assert worker.wait(ENDS_S) is None


def test_an_interrupt_of_the_terminals_group_reaches_the_worker_through_the_keeper_only(kept: Kept) -> None:
    worker = kept.worker(0)
    assert os.getpgid(worker) != os.getpgid(kept.popen.pid)


@pytest.mark.parametrize(
    ("kept", "code", "workers"), [("return", 3, 1), ("raise", 1, 1), ("die", 128 + 9, 5)], indirect=["kept"]
)
def test_a_worker_that_ends_by_itself_ends_the_process_and_so_do_five_deaths_in_a_row(
    kept: Kept, code: int, workers: int
) -> None:
    assert kept.popen.wait(ENDS_S) == code
    assert [line.split()[0] for line in kept.lines()] == [str(number) for number in range(workers)]


def test_no_worker_begins_once_the_keeper_was_told_to_end() -> None:
    begun: list[int] = []
    with _Child() as child:
        os.kill(os.getpid(), signal.SIGTERM)
        assert child.run(lambda: begun.append(1) or 0) == -signal.SIGTERM  # type: ignore[func-returns-value]
    assert begun == []
