"""Waiting for what is not up yet."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from headgate_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

_TRY_AGAIN_S: Final = 0.5
_T = TypeVar("_T")


def patiently(step: Callable[[], _T], deadline_s: float, say: Callable[[str], None]) -> _T:
    """Take a step, and again while what it needs does not answer.

    Args:
        step: Harmless when repeated.
        deadline_s: Monotonic seconds after which it is not tried again.
        say: Told why a step waits, once for every reason in a row.

    Raises:
        UnavailableError: It still did not answer at the deadline.
    """
    told = ""
    while True:
        try:
            return step()
        except UnavailableError as error:
            if time.monotonic() >= deadline_s:
                raise
            if told != (told := str(error)):
                say(f"waiting: {told}")
        time.sleep(_TRY_AGAIN_S)
