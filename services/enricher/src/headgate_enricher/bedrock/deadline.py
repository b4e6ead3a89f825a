"""The time by which a call must have ended, known to all code that runs on behalf of the call."""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEADLINE_S: ContextVar[float] = ContextVar("bedrock_deadline_s", default=math.inf)


@contextmanager
def deadline(at_s: float) -> Iterator[None]:
    """Give calls made inside (also in tasks started inside) a deadline, as ``time.monotonic`` has it, in seconds.

    An earlier deadline from outside stays in force.
    """
    token = _DEADLINE_S.set(min(at_s, _DEADLINE_S.get()))
    try:
        yield
    finally:
        _DEADLINE_S.reset(token)


def deadline_s() -> float:
    """The deadline in force; infinity where none is set."""
    return _DEADLINE_S.get()
