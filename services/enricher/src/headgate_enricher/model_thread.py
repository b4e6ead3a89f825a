"""The thread that waits for models, so that the loop's thread never does."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from headgate_schemas.agent import GreyCase

from headgate_enricher.loop_thread import LoopThread
from headgate_enricher.work import Answer, Work

Ask = Callable[[Work, GreyCase], Awaitable[Answer]]
STOP_TIMEOUT_S = 10.0


class ModelCalls(Protocol):
    """Where the dispatcher hands grey events over; every method is called on the loop's thread."""

    def submit(self, work: Work, case: GreyCase) -> None:
        """Start to ask the model about an event."""

    def cancel(self, works: Iterable[Work]) -> None:
        """Stop asking about events; an answer that is already there may still be collected."""

    def collect(self) -> list[tuple[Work, Answer]]:
        """The answers that have come since the last call.

        Raises:
            RuntimeError: The event loop has died.
        """

    def close(self) -> None:
        """Cancel what is left and stop."""


class ModelThread:
    """Asks on a loop of another thread.

    Args:
        ask: Asks the model about one event until its deadline; never raises for what the model did.
        close_model: Releases the connections of model and tools, on the thread's loop.
        thread: The loop's thread, where others hold connections on it already.
    """

    def __init__(self, ask: Ask, close_model: Callable[[], Awaitable[None]], thread: LoopThread | None = None) -> None:
        self._ask = ask
        self._close_model = close_model
        self._tasks: dict[Work, asyncio.Task[None]] = {}
        self._answers: deque[tuple[Work, Answer]] = deque()
        self._fault: BaseException | None = None
        self._thread = thread or LoopThread("model")
        self._loop = self._thread.loop

    def submit(self, work: Work, case: GreyCase) -> None:
        """Start to ask the model about an event."""
        self._loop.call_soon_threadsafe(self._start, work, case)

    def cancel(self, works: Iterable[Work]) -> None:
        """Stop asking about events; an answer that is already there may still be collected."""
        self._loop.call_soon_threadsafe(self._cancel, list(works))

    def collect(self) -> list[tuple[Work, Answer]]:
        """The answers that have come since the last call.

        Raises:
            RuntimeError: Asking raised what it must not, or the event loop has died.
        """
        if self._fault is not None or not self._thread.alive:
            raise RuntimeError("the model thread has failed") from self._fault
        return [self._answers.popleft() for _ in range(len(self._answers))]

    def close(self) -> None:
        """Cancel what is left, release the model's connections and end the thread."""
        if self._thread.alive:
            self._thread.run(self._shut_down(), STOP_TIMEOUT_S)
            self._thread.stop(STOP_TIMEOUT_S)

    def _start(self, work: Work, case: GreyCase) -> None:
        task = self._loop.create_task(self._answer(work, case))
        self._tasks[work] = task
        task.add_done_callback(lambda done: self._finished(work, done))

    async def _answer(self, work: Work, case: GreyCase) -> None:
        self._answers.append((work, await self._ask(work, case)))

    def _finished(self, work: Work, task: asyncio.Task[None]) -> None:
        del self._tasks[work]
        if not task.cancelled() and task.exception() is not None:
            self._fault = task.exception()

    def _cancel(self, works: list[Work]) -> None:
        for work in works:
            task = self._tasks.get(work)
            if task is not None:
                task.cancel()

    async def _shut_down(self) -> None:
        self._cancel(list(self._tasks))
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._close_model()
