"""Child processes that cannot outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PR_SET_PDEATHSIG: Final = 1
_LOOK_EVERY_S: Final = 0.005


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def tied_to_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What a new child calls before its program (``preexec_fn``), so that it cannot outlive the thread that starts it.

    Args:
        death_signal: What the kernel sends the child when that thread ends.

    Returns:
        None where the kernel cannot (elsewhere than on Linux).
    """
    if sys.platform != "linux":
        return None
    libc, parent = _libc(), os.getpid()

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # the parent died before prctl: no signal will come
            os._exit(1)

    return tie


@contextmanager
def beside(step: Callable[[], None], timeout_s: float = 10.0) -> Iterator[None]:
    """Take a step in a child process beside what this one does in the context, which ends when both have.

    The step helps, and nothing hangs on it: whether it fails is not told, and after ``timeout_s`` seconds the child is
    killed. This process must have no other thread yet. Where there is no Linux, the step is left out.
    """
    tie = tied_to_parent(signal.SIGKILL)
    if tie is None:
        yield
        return
    deadline_s = time.monotonic() + timeout_s
    pid = os.fork()
    if pid == 0:
        tie()
        try:
            step()
        finally:
            os._exit(0)
    try:
        yield
    finally:
        _reap(pid, deadline_s)


def _reap(pid: int, deadline_s: float) -> None:
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() >= deadline_s:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(_LOOK_EVERY_S)
