"""One grey event at the model: a free call, a deadline, and a reason wherever the model is of no use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from headgate_schemas.agent import Agent, GreyCase, ModelAnswerError

from headgate_enricher.bedrock import deadline
from headgate_enricher.bedrock.retries import DeadlineError
from headgate_enricher.work import Answer

if TYPE_CHECKING:
    from headgate_schemas.agent import Usage

Classify = Callable[[BaseException], str]
DEADLINE = "deadline"
LOG_INTERVAL_S = 10.0

logger = structlog.get_logger(__name__)


class Deliberation:
    """Asks the agent's model about grey events, at most ``max_in_flight`` at a time.

    Lives on the model thread's event loop. The agent's own exceptions never pass: each becomes an answer with a reason.

    Args:
        agent: The agent.
        max_in_flight: Calls at the same time.
        classify: Gives the reason code of an error a model raised.
        clock: Monotonic seconds.
    """

    def __init__(
        self, agent: Agent, *, max_in_flight: int, classify: Classify, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._agent = agent
        self._free = asyncio.Semaphore(max_in_flight)
        self._classify = classify
        self._clock = clock
        self._logged_s: dict[str, float] = {}

    async def ask(self, case: GreyCase, deadline_s: float) -> Answer:
        """Deliberate on one case until a monotonic time."""
        started_s = self._clock()
        asked = False
        try:
            async with asyncio.timeout(deadline_s - started_s) as limit, self._free:
                asked = True
                with deadline(deadline_s):
                    decision = await self._agent.deliberate(case)
        except ModelAnswerError as error:
            return self._failed(error.reason, error, started_s, asked=True, paid=(error.usage, error.prompt_hash))
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the fallback decides and the reason is kept
            late = limit.expired() or isinstance(error, DeadlineError)
            reason = DEADLINE if late else self._classify(error)
            return self._failed(reason, error, started_s, asked=asked)
        return Answer(decision, None, asked=True, seconds=self._clock() - started_s)

    def _failed(
        self, reason: str, error: Exception, started_s: float, *, asked: bool, paid: tuple[Usage, str] | None = None
    ) -> Answer:
        now_s = self._clock()
        if now_s - self._logged_s.get(reason, -LOG_INTERVAL_S) >= LOG_INTERVAL_S:
            # An outage fails hundreds of events a second: the metric counts them, the log shows one in a while,
            # by its class: its text may quote the payload.
            self._logged_s[reason] = now_s
            logger.warning("model gave no decision", reason=reason, error=type(error).__name__)
        if paid is None:
            return Answer(None, reason, asked=asked, seconds=now_s - started_s)
        return Answer(None, reason, asked=asked, seconds=now_s - started_s, usage=paid[0], prompt_hash=paid[1])
