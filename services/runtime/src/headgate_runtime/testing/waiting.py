"""Waiting for a condition, with a deadline: the only way a test waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_INTERVAL_S: Final = 0.02


def eventually(condition: Callable[[], _T], timeout_s: float = 10.0) -> _T:
    """Call ``condition`` until what it returns is true, and return that.

    Raises:
        AssertionError: It was not within ``timeout_s`` seconds; the text has what it returned last.
    """
    deadline = time.monotonic() + timeout_s
    while not (outcome := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout_s} s; last outcome: {outcome!r}")
        time.sleep(_INTERVAL_S)
    return outcome
