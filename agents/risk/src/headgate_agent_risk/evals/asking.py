"""Grey cases at a model, several at a time, as the enricher asks: what was decided, for how much, how long it took."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING, NamedTuple

from headgate_schemas.agent import Decision, ModelAnswerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_schemas.agent import Agent, GreyCase

IN_FLIGHT = 16


class Asked(NamedTuple):
    """One case, decided.

    Attributes:
        decision: The model's, or the fallback's where the answer was of no use; its usage says what was paid.
        latency_ms: All calls and tools together.
    """

    decision: Decision
    latency_ms: float


def deliberate_all(agent: Agent, cases: Sequence[GreyCase]) -> list[Asked]:
    """Ask about every case, in order.

    Raises:
        Exception: Whatever the chat model raised.
    """
    return asyncio.run(_all(agent, cases))


async def _all(agent: Agent, cases: Sequence[GreyCase]) -> list[Asked]:
    free = asyncio.Semaphore(IN_FLIGHT)

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
