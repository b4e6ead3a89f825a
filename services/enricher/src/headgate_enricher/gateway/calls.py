"""One call of an agent: an answer that was paid for before, else attempts at one model or another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from headgate_runtime.errors import UnavailableError
from headgate_schemas.agent import Usage

from headgate_enricher.gateway.cache import AnswerCache, pack, request_key, unpack, worth_keeping
from headgate_enricher.gateway.errors import GatewayError, reason_of
from headgate_enricher.gateway.protocols import NoRecordings, Purse, RecordedAnswer, Recordings
from headgate_enricher.gateway.spans import show_reused

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from headgate_enricher.bedrock.retries import RetryPolicy
    from headgate_enricher.gateway.endpoint import Endpoint, Question, Reply
    from headgate_enricher.gateway.metrics import GatewayMetrics
    from headgate_enricher.gateway.protocols import CallContext
    from headgate_enricher.gateway.routes import Routes, RouteTable

_ANOTHER_MODEL_HELPS: Final = frozenset({"throttled", "unavailable", "timeout", "model_error", "denied"})


class Calls:
    """Finds or gets the answers to calls.

    All attempts of a call, at whichever model, count towards the one bound of ``retries``.

    Args:
        routes: The models.
        purse: Says whether a call may be paid.
        cache: Answers by request.
        retries: Repeats attempts; nothing else does.
        metrics: Metrics.
    """

    def __init__(
        self,
        *,
        routes: Routes,
        purse: Purse,
        cache: AnswerCache,
        retries: RetryPolicy,
        metrics: GatewayMetrics,
    ) -> None:
        self.routes = routes
        self._purse = purse
        self._recordings: Recordings = NoRecordings()
        self._cache = cache
        self._retries = retries
        self._metrics = metrics

    def record_in(self, recordings: Recordings) -> None:
        """Keep answers by position, and look there first; before the first call."""
        self._recordings = recordings

    async def answer(self, question: Question) -> AIMessage:
        """Answer one call of an agent.

        Raises:
            GatewayError: No model was asked, and why.
            Exception: What the last attempt raised.
        """
        spending = question.spending
        number = spending.next_call()
        recorded = self._recordings.find(spending.context, number)
        if recorded is not None:
            # Paid for once, before a restart; the record of the event still has to say so.
            return self._reuse(question, recorded, "recorded")
        table = self.routes.table
        key = request_key(spending.context.tenant, question.request(table.primary.model))
        cached = self._cache.find(key)
        if cached is not None:
            free = replace(cached, usage=Usage(), cost_microdollars=0, reused=True)
            await self._record(spending.context, number, free)
            return self._reuse(question, free, "cached")
        reply = await self._ask(question, table)
        spending.answered(reply.model_id, reply.usage, reply.cost_microdollars)
        answer = RecordedAnswer(reply.model_id, pack(reply.message), reply.usage, reply.cost_microdollars)
        if reply.model_id == table.primary.id and worth_keeping(reply.message):
            self._cache.store(key, answer)
        await self._record(spending.context, number, answer)
        return reply.message

    def _reuse(self, question: Question, kept: RecordedAnswer, where: str) -> AIMessage:
        question.spending.answered(kept.model_id, kept.usage, kept.cost_microdollars)
        self._metrics.reused(where)
        show_reused(where, kept)
        return unpack(kept.message)

    async def _ask(self, question: Question, table: RouteTable) -> Reply:
        failed: list[Endpoint] = []

        async def attempt(_: float) -> Reply:
            return await self._attempt(question, table, failed)

        def elsewhere(error: Exception) -> bool:
            return reason_of(error) in _ANOTHER_MODEL_HELPS and table.failover(failed)

        reply, _ = await self._retries.run(attempt, elsewhere)
        return reply

    async def _attempt(self, question: Question, table: RouteTable, failed: list[Endpoint]) -> Reply:
        """Make one attempt at the first model that takes it; adds the model to ``failed`` where it fails."""
        endpoint = table.first(failed)
        refused: list[Endpoint] = []
        while True:
            try:
                return await endpoint.ask(question, self._purse)
            except GatewayError as refusal:
                refused.append(endpoint)
                other = table.after(refusal, refused)
                if other is None:
                    raise
                endpoint = other
            except Exception:
                failed.append(endpoint)
                raise

    async def _record(self, context: CallContext, number: int, answer: RecordedAnswer) -> None:
        try:
            await self._recordings.store(context, number, answer)
        except UnavailableError:
            # Used all the same; whoever keeps answers says why, once in a while.
            self._metrics.unrecorded()
