"""One grey event at the model: a free call, a deadline, and a reason wherever the model is of no use."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import structlog
from headgate_runtime.tracing import identity
from headgate_schemas.agent import Decision, GreyCase, ModelAnswerError

from headgate_enricher.bedrock.deadline import deadline
from headgate_enricher.bedrock.retries import DeadlineError
from headgate_enricher.gateway.errors import GatewayError
from headgate_enricher.gateway.protocols import CallContext, RecordedAnswer
from headgate_enricher.gateway.spending import deliberation_of
from headgate_enricher.work import Answer, Work

if TYPE_CHECKING:
    from headgate_runtime.records import TopicPartition
    from headgate_schemas import Getter

ReasonOf = Callable[[BaseException], str]
OriginOf = Callable[["Work"], "Origin"]
Find = Callable[[CallContext, int], "RecordedAnswer | None"]
DEADLINE = "deadline"
LOG_INTERVAL_S = 10.0

logger = structlog.get_logger(__name__)


class Origin(NamedTuple):
    """What the answers to an event's calls are kept under, besides the number of the call."""

    source: TopicPartition
    offset: int
    agent_version: str


def consumed(work: Work) -> Origin:
    """Where the event was read from, and the agent that decides."""
    return Origin(work.partition.source, work.record.offset, work.decider.version)


class _Outcome(NamedTuple):
    """What deliberation ended with: a decision, or a reason and the prompt of answers that were of no use."""

    decision: Decision | None
    reason: str | None = None
    prompt_hash: str | None = None


class Deliberation:
    """Asks the agents' models about grey events, about a fixed number of them at a time.

    Lives on the model thread's event loop. An agent's own exceptions never pass: each becomes an answer with a reason.

    Args:
        tenant: Gives an event's tenant, whose budget pays; None where the contract names no such field.
        most: Events under deliberation at the same time. More than the gateway lets call at once, so that there is
            always one with its prompt ready; not all there are, for those that begin keep the loop from answers.
        reason_of: Gives the reason code of an error a model raised.
        origin_of: Gives what an event's answers are kept under.
        find: Finds the answer to an event's n-th call that was kept, as ``Recordings.find``.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        tenant: Getter | None,
        most: int,
        reason_of: ReasonOf,
        origin_of: OriginOf = consumed,
        find: Find = lambda _context, _number: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tenant = tenant
        self._free = asyncio.Semaphore(most)
        self._reason_of = reason_of
        self._origin_of = origin_of
        self._find = find
        self._clock = clock
        self._logged_s: dict[str, float] = {}

    async def ask(self, work: Work, case: GreyCase) -> Answer:
        """Deliberate on one event until its deadline."""
        started_s = self._clock()
        context = self._context(work)
        case = self._recalled(case, context)
        context = dataclasses.replace(context, profile=case.profile)
        with deliberation_of(context) as spending, deadline(work.deadline_s):
            outcome = await self._deliberate(work, case)
        seconds = self._clock() - started_s
        return Answer(outcome.decision, outcome.reason, seconds, spending.spent, outcome.prompt_hash)

    def _context(self, work: Work) -> CallContext:
        tenant = self._tenant(work.event) if self._tenant is not None else None
        source, offset, version = self._origin_of(work)
        return CallContext(source, offset, work.decider.name, version, str(tenant or ""), work.deadline_s)

    def _recalled(self, case: GreyCase, context: CallContext) -> GreyCase:
        """The case as it was at the first call, where the answer to that is found again: profiles have moved on since."""
        try:
            first = self._find(context, 0)
        except GatewayError:  # the call itself will say so
            return case
        return case if first is None else dataclasses.replace(case, profile=first.profile)

    async def _deliberate(self, work: Work, case: GreyCase) -> _Outcome:
        try:
            async with asyncio.timeout(work.deadline_s - self._clock()) as limit, self._free:
                return _Outcome(await work.decider.agent.deliberate(case))
        except ModelAnswerError as error:
            self._log(error.reason, error, work)
            return _Outcome(None, error.reason, error.prompt_hash)
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the fallback decides and the reason is kept
            late = limit.expired() or isinstance(error, DeadlineError)
            reason = DEADLINE if late else self._reason_of(error)
            self._log(reason, error, work)
            return _Outcome(None, reason)

    def _log(self, reason: str, error: Exception, work: Work) -> None:
        now_s = self._clock()
        if now_s - self._logged_s.get(reason, -LOG_INTERVAL_S) >= LOG_INTERVAL_S:
            # An outage fails hundreds of events a second: the metric counts them, the log shows one in a while,
            # by its class: its text may quote the payload.
            self._logged_s[reason] = now_s
            event = identity(work.record.headers)
            logger.warning("model gave no decision", reason=reason, error=type(error).__name__, **event)
