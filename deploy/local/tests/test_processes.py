"""Real child processes: readiness, failure with the log's tail, stop, crash, restart, leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from headgate_local.folder import StackError
from headgate_local.identity import ProcessIdentity, clean_leftovers
from headgate_local.processes import ProcessSpec, ServiceProcess, stop_together
from headgate_local.supervision import Backoff, Supervisor
from headgate_runtime.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SLEEPER = "import pathlib, time; pathlib.Path('up').touch(); time.sleep(600)"
STUBBORN = (
    "import pathlib, signal, time; signal.signal(15, signal.SIG_IGN); pathlib.Path('up').touch(); time.sleep(600)"
)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    made: list[ServiceProcess] = []

    def process(code: str = SLEEPER, name: str = "child", **spec: float) -> ServiceProcess:
        def not_ready() -> str | None:
            return None if (tmp_path / "up").exists() else "not up"

        made.append(ServiceProcess(ProcessSpec(name, [sys.executable, "-c", code], tmp_path, not_ready, **spec)))
        return made[-1]

    yield process
    stop_together(made)


def test_a_started_process_becomes_ready_and_stops_on_sigterm(make: Callable[..., ServiceProcess]) -> None:
    process = make()
    process.start()
    process.wait_ready()
    assert process.running
    assert process.rss_bytes() > 0
    assert ProcessIdentity.read(process.spec.pid_file) is not None
    assert process.stop() == -signal.SIGTERM
    assert not process.crashed
    assert not process.spec.pid_file.exists()


def test_a_process_that_ignores_sigterm_is_killed_after_its_deadline(make: Callable[..., ServiceProcess]) -> None:
    process = make(STUBBORN)
    process.start()
    process.wait_ready()
    assert process.stop(timeout_s=0.2) == -signal.SIGKILL


def test_a_failed_start_shows_the_tail_of_this_runs_log(make: Callable[..., ServiceProcess], tmp_path: Path) -> None:
    (tmp_path / "child.log").write_text("yesterday's fault\n")
    process = make("raise SystemExit('port already taken')")
    process.start()
    with pytest.raises(
        StackError, match=r"child ended with code 1 before it was ready.*\n.*port already taken"
    ) as error:
        process.wait_ready()
    assert "yesterday" not in str(error.value)


def test_a_process_that_is_never_ready_says_why(make: Callable[..., ServiceProcess]) -> None:
    process = make("import time; time.sleep(600)")
    process.start()
    with pytest.raises(StackError, match="child is not ready in time: not up"):
        process.wait_ready(timeout_s=0.2)


def test_a_killed_process_is_started_again_and_a_stopped_one_is_not(
    make: Callable[..., ServiceProcess], tmp_path: Path
) -> None:
    crashing, stopped = make(), make(name="other")
    for process in (crashing, stopped):
        process.start()
    crashing.wait_ready()
    supervisor = Supervisor([crashing, stopped])
    supervisor.start()
    first = crashing.pid
    stopped.stop()
    crashing.kill9()
    (tmp_path / "up").unlink()
    crashing.wait_ready(timeout_s=10)
    assert crashing.pid != first
    assert supervisor.restarts == {"child": 1, "other": 0}
    supervisor.stop()
    assert not crashing.running
    assert stopped.starts == 1


def test_delays_double_up_to_the_longest_and_start_over_when_stable() -> None:
    backoff = Backoff(first_s=1, longest_s=5, stable_s=20)
    assert [backoff.delay_s(lived_s=0.1) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert backoff.delay_s(lived_s=20) == 1
    assert backoff.delay_s(lived_s=0.1) == 2


def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from headgate_local.processes import *\n"
        "p = ServiceProcess(ProcessSpec('child', [sys.executable, '-c', sys.argv[2]], Path(sys.argv[1]), lambda: None))\n"
        "p.start(); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), SLEEPER])  # noqa: S603 - our own code
    try:
        eventually((tmp_path / "up").exists, timeout_s=20)
    finally:
        parent.kill()
        parent.wait()
    if sys.platform == "linux":
        identity = ProcessIdentity.read(tmp_path / "child.pid")
        assert identity is not None
        eventually(lambda: identity.process() is None, timeout_s=10)
    else:
        assert clean_leftovers(tmp_path) == ["child"]


def test_a_leftover_is_ended_and_a_strangers_pid_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", STUBBORN], cwd=tmp_path) as leftover:  # noqa: S603 - our own code
        eventually((tmp_path / "up").exists, timeout_s=20)
        ProcessIdentity.of(leftover.pid).write(tmp_path / "leftover.pid")
        me = psutil.Process()
        ProcessIdentity(pid=me.pid, created_s=me.create_time() - 3600).write(tmp_path / "stranger.pid")
        (tmp_path / "damaged.pid").write_text("{")
        assert clean_leftovers(tmp_path, grace_s=0.2) == ["leftover"]
        assert not psutil.pid_exists(leftover.pid)
    assert not list(tmp_path.glob("*.pid"))


def test_an_ended_process_has_no_identity_anymore() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = ProcessIdentity.of(process.pid)
        assert identity.process() is not None
        process.kill()
        # a zombie, until it is waited for, counts as ended
        eventually(lambda: identity.process() is None, timeout_s=10)
    assert ProcessIdentity(pid=os.getpid(), created_s=time.time() + 3600).process() is None
