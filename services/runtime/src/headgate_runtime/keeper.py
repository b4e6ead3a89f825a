"""Keeps a service's worker process: one that a signal killed is replaced at once, with all that was imported at hand.

The kernel's out-of-memory killer, a fault in native code and ``kill -9`` end a process without a word. Most of a new
one's start is imports, seconds of them; a fork of a process that has made them takes milliseconds. The keeper does
nothing else: it imports, forks and waits. It holds no connection and starts no thread, so that a fork is safe.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Self

import structlog

from headgate_runtime.children import tied_to_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

SIGNAL_EXIT: Final = 128
LIVED_S: Final = 10.0
MOST_EARLY_DEATHS: Final = 5
_ENDED: Final = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger(__name__)


def keep(work: Callable[[int], int]) -> int:
    """Run the work in a child process, and again in a new one whenever a signal killed it.

    SIGTERM and SIGINT are passed on to the child. Where this process dies, the child is killed with it. Where there is
    no Linux, the work is run in this process, once.

    Args:
        work: What a worker does, up to its exit code; gets the number of workers before it.

    Returns:
        The exit code of a worker that ended by itself. A fifth worker in a row that was killed within ten seconds ends
        this too, with 128 and the signal's number: whoever runs the service knows better what to do then.
    """
    if sys.platform != "linux":
        return work(0)
    gc.freeze()  # a worker that counts references of shared objects must not copy their pages for the collector too
    workers, early = 0, 0
    with _Child() as child:
        while True:
            began_s = time.monotonic()
            code = child.run(partial(work, workers))
            workers += 1
            if code >= 0:
                return code
            early = early + 1 if time.monotonic() - began_s < LIVED_S else 0
            if child.told_to_end or early >= MOST_EARLY_DEATHS:
                return SIGNAL_EXIT - code
            _log.error("worker killed, starting another", signal=signal.Signals(-code).name, early_deaths=early)


class _Child:
    """The one child there is at a time; a context in which signals to end are passed on to it."""

    def __init__(self) -> None:
        self.told_to_end = False
        self._pid = 0
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Self:
        """Pass signals on from here."""
        self._previous = {number: signal.signal(number, self._pass_on) for number in _ENDED}
        return self

    def __exit__(self, *_: object) -> None:
        """Leave signals to whoever had them before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal gave back

    def run(self, work: Callable[[], int]) -> int:
        """Run the work in a new child; returns its exit code, or the negative number of the signal that killed it."""
        tie = tied_to_parent(signal.SIGKILL)
        with _signals_held():
            if self.told_to_end:  # since the last one died
                return -signal.SIGTERM
            self._pid = os.fork()
            if self._pid == 0:
                _become_worker(tie)
        if self._pid == 0:
            os._exit(_exit_code(work))
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self.told_to_end = True
        if self._pid:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self._pid, number)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let a signal wait until it is clear who is to get it."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _become_worker(tie: Callable[[], None] | None) -> None:
    os.setpgid(0, 0)  # a Ctrl-C at the terminal comes through the keeper, once
    if tie is not None:
        tie()
    for number in _ENDED:
        signal.signal(number, signal.SIG_DFL)


def _exit_code(work: Callable[[], int]) -> int:
    try:
        return work()
    except BaseException:  # noqa: BLE001 - the end of the process: nothing may unwind into the keeper's own code
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
