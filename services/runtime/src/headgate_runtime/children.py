"""Child processes that cannot outlive their parent."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

_PR_SET_PDEATHSIG: Final = 1


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
