"""Closing things in order, whatever happened before."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_log = structlog.get_logger(__name__)


@contextmanager
def closing(close: Callable[[], None], what: str) -> Iterator[None]:
    """Call ``close`` at the end; a fault in it is raised, or only logged where another fault is on its way out."""
    try:
        yield
    except BaseException:
        try:
            close()
        except Exception:  # noqa: BLE001 - whatever it is, the first fault is the one to report
            _log.exception("closing failed after another fault", what=what)
        raise
    close()
