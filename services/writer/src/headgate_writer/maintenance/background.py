"""One piece of work at a time beside the loop: reading, writing and deleting files, never a catalog's business."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Background:
    """Runs a function on a thread that does not keep the process alive."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def start(self, work: Callable[[], _T]) -> Future[_T]:
        """Begin; what was begun before must be done."""
        future: Future[_T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - the future hands it to whoever asked
                future.set_exception(error)

        self._thread = threading.Thread(target=run, name="maintenance", daemon=True)
        self._thread.start()
        return future

    def close(self, timeout_s: float) -> None:
        """Wait for what was begun, seconds at most; what is not done then leaves files that nothing refers to."""
        if self._thread is not None:
            self._thread.join(timeout_s)
