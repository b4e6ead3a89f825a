"""Restarts what crashes, with growing delays, as Kubernetes would."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headgate_local.processes import stop_together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headgate_local.processes import ServiceProcess

WATCH_S = 0.1


@dataclass(slots=True)
class Backoff:
    """How long to wait before the next restart of one process.

    Attributes:
        first_s: The delay after a first crash.
        longest_s: The delay never grows beyond this.
        stable_s: A process that lived this long starts over at ``first_s``.
    """

    first_s: float = 0.2
    longest_s: float = 30.0
    stable_s: float = 20.0
    _next_s: float = field(default=0.0, init=False)

    def delay_s(self, lived_s: float) -> float:
        """The delay after a crash of a process that lived ``lived_s`` seconds; doubles from crash to crash."""
        if lived_s >= self.stable_s or not self._next_s:
            self._next_s = self.first_s
        delay_s, self._next_s = self._next_s, min(self._next_s * 2, self.longest_s)
        return delay_s


class Supervisor:
    """Watches processes in a thread of its own and starts again those that ended without being asked to.

    Attributes:
        restarts: How often each process was started again, by name.
    """

    def __init__(
        self,
        processes: Sequence[ServiceProcess],
        *,
        say: Callable[[str], None] = lambda _line: None,
        longest_s: float = 30.0,
    ) -> None:
        """Take over processes that are already started; ``say`` is told of every crash, from the thread."""
        self.restarts = {process.name: 0 for process in processes}
        self._processes = list(processes)
        self._say = say
        self._backoffs = {process.name: Backoff(longest_s=longest_s) for process in processes}
        self._due_s: dict[str, float] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        for process in self._processes:
            process.supervised = True
        self._thread.start()

    def stop(self) -> None:
        """Stop the processes that still run, all together, and end; harmless when called twice."""
        # before the thread ends, because the children it has started end with it
        for process in self._processes:
            process.supervised = False
        stop_together(self._processes)
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._ending.wait(WATCH_S):
            for process in self._processes:
                if process.crashed:
                    self._revive(process, time.monotonic())

    def _revive(self, process: ServiceProcess, now_s: float) -> None:
        if process.name not in self._due_s:
            delay_s = self._backoffs[process.name].delay_s(process.age_s)
            self._due_s[process.name] = now_s + delay_s
            self._say(f"{process.name} ended with code {process.exit_code}; starting it again in {delay_s:.1f} s")
        if now_s < self._due_s[process.name]:
            return
        del self._due_s[process.name]
        if process.revive():
            self.restarts[process.name] += 1
