"""The platform in the background: a supervisor process of its own session, found again by its pid file."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, NoReturn

from headgate_local.endpoints import FILE_NAME, Endpoints
from headgate_local.folder import FolderLock, StackError
from headgate_local.identity import ProcessIdentity, clean_leftovers, end_processes
from headgate_local.platform import SERVICES, Platform

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    import psutil

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 120.0
FOLLOW_S = 0.1


def supervisor(folder: Path) -> psutil.Process | None:
    """The running supervisor of a folder, None when there is none."""
    identity = ProcessIdentity.read(_pid_file(folder))
    return None if identity is None else identity.process()


def start(folder: Path, *, services: bool, say: Callable[[str], None]) -> Endpoints:
    """Start a supervisor and wait until all is ready; returns at once when it is already up.

    Args:
        folder: Holds endpoints.json and data/.
        services: Whether to run Headgate's services on the stack.
        say: Told every line the supervisor prints until then.

    Raises:
        StackError: It did not become ready, or it is up with another choice of services.
    """
    # whoever comes second waits here, then finds it up
    with FolderLock(folder):
        running, endpoints = supervisor(folder), Endpoints.read(folder)
        if running is not None and endpoints is not None:
            if services and not endpoints.services:
                raise StackError("the stack is up without services: run `headgate local down` first")
            return endpoints
        if running is not None:
            raise StackError(
                f"a supervisor (process {running.pid}) is up but not ready: run `headgate local down` first"
            )
        (folder / FILE_NAME).unlink(missing_ok=True)
        log = folder / "data" / "run" / "supervisor.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "headgate_local", "supervise", "--folder", str(folder)]
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command if services else [*command, "--no-services"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        ProcessIdentity.of(process.pid).write(_pid_file(folder))
        try:
            return _follow(process, folder, log, say)
        except BaseException:
            stop(folder)
            raise


def stop(folder: Path) -> bool:
    """Stop the supervisor and all it runs, and clean up after one that was killed; returns whether one was running."""
    running = supervisor(folder)
    if running is not None:
        end_processes([running], grace_s=STOP_TIMEOUT_S)
    data = FolderLock(folder / "data")
    data.acquire(wait=True)
    clean_leftovers(folder / "data" / "run")
    data.release()
    _pid_file(folder).unlink(missing_ok=True)
    (folder / FILE_NAME).unlink(missing_ok=True)
    return running is not None


def supervise(folder: Path, *, services: bool) -> NoReturn:
    """Run the platform in this process until SIGTERM or SIGINT; ends with SystemExit."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        # one is enough: another must not break the stopping
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with Platform(folder, services=SERVICES if services else ()):
        threading.Event().wait()
    raise SystemExit(0)


def _follow(process: subprocess.Popen[bytes], folder: Path, log: Path, say: Callable[[str], None]) -> Endpoints:
    deadline = time.monotonic() + START_TIMEOUT_S
    with log.open(encoding="utf-8", errors="replace") as lines:
        while True:
            ended = process.poll()
            endpoints = Endpoints.read(folder)
            for line in lines:
                say(line.rstrip())
            if ended is not None:
                raise StackError(f"the supervisor ended with code {ended} before all was ready; see {log}")
            if endpoints is not None:
                return endpoints
            if time.monotonic() > deadline:
                raise StackError(f"not ready within {START_TIMEOUT_S:.0f} s; see {log}")
            time.sleep(FOLLOW_S)


def _pid_file(folder: Path) -> Path:
    return folder / "supervisor.pid"
