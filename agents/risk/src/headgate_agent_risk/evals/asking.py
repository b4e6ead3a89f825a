"""Grey cases at a model, several at a time, as the enricher asks: what was decided, for how much, how long it took."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from headgate_schemas.agent import Decision, ModelAnswerError
from langchain_core.callbacks import AsyncCallbackHandler

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from headgate_schemas.agent import Agent, GreyCase
    from langchain_core.language_models import BaseChatModel

IN_FLIGHT = 16


class Asked(NamedTuple):
    """One case, decided.

    Attributes:
        decision: The model's, or the fallback's where the answer was of no use; its usage says what was paid.
        latency_ms: All calls and tools together.
    """

    decision: Decision
    latency_ms: float


class CallTimes(AsyncCallbackHandler):
    """How long each call of a chat model took, milliseconds.

    Args:
        model: The model; it reports here from now on.
    """

    def __init__(self, model: BaseChatModel) -> None:
        self.taken_ms: list[float] = []
        self._began_s: dict[UUID, float] = {}
        model.callbacks = [self]

    async def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002 - LangChain's
        """Note the beginning of a call."""
        self._began_s[run_id] = time.perf_counter()

    async def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002 - LangChain's
        """Note its end."""
        self.taken_ms.append((time.perf_counter() - self._began_s.pop(run_id)) * 1_000)


def deliberate_all(agent: Agent, cases: Sequence[GreyCase]) -> list[Asked]:
    """Ask about every case, in order.

    Raises:
        Exception: Whatever the chat model raised.
    """
    return asyncio.run(_all(agent, cases))


async def _all(agent: Agent, cases: Sequence[GreyCase]) -> list[Asked]:
    free = asyncio.Semaphore(IN_FLIGHT)
    # A model without async calls of its own takes a thread a call: with fewer threads it would be their queue that is timed.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(IN_FLIGHT))

    async def one(case: GreyCase) -> Asked:
        async with free:
            started_s = time.perf_counter()
            try:
                decision = await agent.deliberate(case)
            except ModelAnswerError as error:
                decision = dataclasses.replace(agent.fall_back(case, error.reason), usage=error.usage)
            return Asked(decision, (time.perf_counter() - started_s) * 1_000)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(case)) for case in cases]
    return [task.result() for task in tasks]
