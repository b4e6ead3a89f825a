"""Child processes that are started, watched, stopped and killed: the stack's JVMs and Headgate's services alike."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
from headgate_runtime.children import tied_to_parent

from headgate_local.config import inherited_environment
from headgate_local.folder import StackError
from headgate_local.identity import ProcessIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

LOG_BYTES = 20 << 20
TAIL_BYTES = 3000
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How to run a process and how to tell that it works.

    Attributes:
        name: Unique within its folder; names the log (``<name>.log``) and the pid file (``<name>.pid``).
        command: Program and arguments.
        folder: Where log and pid file go, and the working folder.
        ready: Says why the process is not ready yet, None when it is; called often, must answer within seconds.
        environment: Added to (and winning over) the environment of this process.
        ready_timeout_s: How long it may take from start to ready.
        stop_timeout_s: How long it may take from SIGTERM to its end, before SIGKILL.
        death_signal: What the kernel sends it when the thread that started it ends (Linux).
    """

    name: str
    command: Sequence[str]
    folder: Path
    ready: Callable[[], str | None]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 30.0
    death_signal: signal.Signals = signal.SIGKILL

    @property
    def log(self) -> Path:
        """Standard output and error, appended from start to start."""
        return self.folder / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        """Identity of the running process; see ``identity.clean_leftovers``."""
        return self.folder / f"{self.name}.pid"


class ServiceProcess:
    """One process over its starts and ends; safe to use from several threads.

    On Linux a child dies with the thread that called ``start``: call it from a thread that lives as long as the child should.
    """

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.starts = 0
        self.supervised = False  # while it is, an end is not the end: a supervisor starts the process again
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False
        self._began_s = 0.0
        self._log_from = 0
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """The spec's name."""
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker: the child of a service that keeps one, else the process itself."""
        pid = self.pid
        try:
            children = psutil.Process(pid).children() if pid is not None else []
        except psutil.NoSuchProcess:
            return None
        return children[0].pid if children else pid

    @property
    def running(self) -> bool:
        """Whether the process lives, ready or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def crashed(self) -> bool:
        """Whether it ended although nobody called ``stop``."""
        with self._lock:
            return self._wanted and not self.running

    @property
    def exit_code(self) -> int | None:
        """Exit code of the last run (negative: the signal that ended it), None while it runs or before the first start."""
        return None if self._process is None else self._process.poll()

    @property
    def age_s(self) -> float:
        """Seconds since the last start."""
        return time.monotonic() - self._began_s

    def start(self) -> None:
        """Start the process without waiting for it; harmless while it runs."""
        with self._lock:
            if self.running:
                return
            self.spec.folder.mkdir(parents=True, exist_ok=True)
            self._log_from = _prepare_log(self.spec.log)
            with self.spec.log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                    self.spec.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.spec.folder,
                    env=inherited_environment() | dict(self.spec.environment),
                    start_new_session=True,  # a Ctrl-C at the terminal is for us: we stop the children in order
                    preexec_fn=tied_to_parent(self.spec.death_signal),  # noqa: PLW1509 - only prctl and getppid run there
                )
            ProcessIdentity.of(self._process.pid).write(self.spec.pid_file)
            self._wanted = True
            self._began_s = time.monotonic()
            self.starts += 1

    def revive(self) -> bool:
        """Start the process again if it has crashed; returns whether it had (a ``stop`` meanwhile wins)."""
        with self._lock:
            if not self.crashed:
                return False
            self.start()
            return True

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until the process is ready, through crashes and restarts where a supervisor watches it.

        Raises:
            StackError: It ended (and nobody restarts it), or was not ready in time; the text has the tail of its log.
        """
        deadline = time.monotonic() + (self.spec.ready_timeout_s if timeout_s is None else timeout_s)
        while (why := self.spec.ready()) is not None:
            if not self.running and not self.supervised:
                raise StackError(f"{self.name} ended with code {self.exit_code} before it was ready{self._tail()}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} is not ready in time: {why}{self._tail()}")
            time.sleep(POLL_S)

    def terminate(self) -> None:
        """Ask the process to end without waiting for it; a supervisor lets it."""
        with self._lock:
            # Asked once only: a second SIGTERM tells a service to end without finishing what is in flight.
            if self._wanted and self._process is not None:
                self._process.terminate()
            self._wanted = False

    def stop(self, timeout_s: float | None = None) -> int | None:
        """End the process: SIGTERM, then SIGKILL after the deadline; returns the exit code, None if it never ran."""
        with self._lock:
            self.terminate()
            if self._process is None:
                return None
            try:
                self._process.wait(self.spec.stop_timeout_s if timeout_s is None else timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self.spec.pid_file.unlink(missing_ok=True)
            return self._process.returncode

    def kill9(self) -> None:
        """Kill the process at once, as a crash would; a supervisor restarts it."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def kill9_worker(self) -> None:
        """Kill the worker at once, as the kernel does when memory is short; a service that keeps one replaces it."""
        worker = self.worker_pid
        if worker is not None:
            os.kill(worker, signal.SIGKILL)

    def rss_bytes(self) -> int:
        """Resident memory of the process and its children now; 0 when it does not run."""
        pid = self.pid
        if pid is None:
            return 0
        try:
            process = psutil.Process(pid)
            return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])
        except psutil.NoSuchProcess:
            return 0

    def _tail(self) -> str:
        with self.spec.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_from, size - TAIL_BYTES))
            text = log.read().decode(errors="replace").strip()
        return f"; end of {self.spec.log}:\n{text}" if text else f"; {self.spec.log} is empty"


def stop_together(processes: Iterable[ServiceProcess]) -> None:
    """Stop processes that do not need each other to stop, all at the same time."""
    ending = list(processes)
    for process in ending:
        process.terminate()
    for process in ending:
        process.stop()


def _prepare_log(log: Path) -> int:
    """Put a large log aside; returns the size from which this run writes."""
    size = log.stat().st_size if log.exists() else 0
    if size <= LOG_BYTES:
        return size
    log.replace(log.with_suffix(".log.1"))
    return 0
