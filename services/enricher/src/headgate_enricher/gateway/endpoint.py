"""One model behind its gates: breaker, free slot, rate, purse; and what each attempt teaches them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from headgate_runtime.errors import UnavailableError
from headgate_schemas.agent import Usage

from headgate_enricher.bedrock.retries import perhaps_paid
from headgate_enricher.gateway.breaker import Breaker, BreakerPolicy
from headgate_enricher.gateway.concurrency import AdaptiveLimit, Slots
from headgate_enricher.gateway.errors import (
    BreakerOpenError,
    BudgetExhaustedError,
    GatewayError,
    PurseUnavailableError,
    RateLimitedError,
    reason_of,
)
from headgate_enricher.gateway.limiter import Limiter
from headgate_enricher.gateway.spans import chat_span, show_reply, turn_span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.messages import AIMessage, BaseMessage

    from headgate_enricher.bedrock.model import AsyncBedrockConverse
    from headgate_enricher.bedrock.request import ConverseRequest
    from headgate_enricher.bedrock.settings import ModelSettings
    from headgate_enricher.gateway.metrics import GatewayMetrics
    from headgate_enricher.gateway.protocols import Purse, Reservation
    from headgate_enricher.gateway.spending import Spending
    from headgate_enricher.pricing import Price

_BYTES_A_TOKEN = 3  # of JSON; most tokenizers need fewer tokens than that
_MENDED_BY_A_PERSON = frozenset({"denied"})
_THE_MODELS_FAULT = frozenset({"unavailable", "timeout", "model_error"})
# An attempt that got less time than this before the deadline says nothing about the model.
FAIR_TIME_S = 1.0
_LEAST_S = 0.001

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Question:
    """One call of an agent, as each model would be sent it.

    Attributes:
        messages: The prompt.
        stop: Stop sequences.
        bound: What ``bind_tools`` bound.
        spending: What the deliberation has spent, and for whom.
    """

    messages: list[BaseMessage]
    stop: list[str] | None
    bound: dict[str, Any]
    spending: Spending
    _requests: dict[str, ConverseRequest] = field(default_factory=dict)

    def request(self, model: AsyncBedrockConverse) -> ConverseRequest:
        """The request to a model; written once, however often it is asked."""
        request = self._requests.get(model.model_id)
        if request is None:
            request = self._requests[model.model_id] = model.prepare(self.messages, self.stop, self.bound)
        return request


@dataclass(frozen=True, slots=True)
class Worst:
    """The most an attempt can use: what is reserved for it."""

    tokens: int
    cost_microdollars: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer and its price."""

    model_id: str
    message: AIMessage
    usage: Usage
    cost_microdollars: int


class Endpoint:
    """A model that can be asked; lives on the model thread, apart from what it shows.

    Args:
        settings: Which model, and its rates.
        model: Sends an attempt.
        price: What it charges.
        most_in_flight: Attempts at the same time, at most.
        metrics: Metrics.
        policy: When the breaker opens and closes.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        settings: ModelSettings,
        model: AsyncBedrockConverse,
        price: Price,
        *,
        most_in_flight: int,
        metrics: GatewayMetrics,
        policy: BreakerPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.model = model
        self.price = price
        self._metrics = metrics
        self._clock = clock
        self._breaker = Breaker(policy or BreakerPolicy())
        self._slots = Slots(AdaptiveLimit(most_in_flight))
        self._limiter = Limiter(settings.requests_per_minute, settings.tokens_per_minute, clock())
        metrics.watch(
            settings.id,
            breaker=lambda: self._breaker.state(clock()),
            in_flight=lambda: self._slots.in_flight,
            limit=lambda: self._slots.limit.limit,
        )

    @property
    def id(self) -> str:
        """The model's id."""
        return self.settings.id

    def admits(self) -> bool:
        """Whether the breaker lets calls through now."""
        return self._breaker.admits(self._clock())

    def snapshot(self) -> dict[str, Any]:
        """What keeps calls from the model now, for people."""
        return {
            "breaker": self._breaker.state(self._clock()),
            "in_flight": self._slots.in_flight,
            "concurrency_limit": self._slots.limit.limit,
        }

    async def ask(self, question: Question, purse: Purse) -> Reply:
        """Make one attempt before the deadline of the question's event, waiting for its turn first.

        Args:
            question: What to ask, and for whom.
            purse: Who pays.

        Raises:
            GatewayError: None was made, and why.
            Exception: What the attempt raised.
        """
        try:
            return await self._ask(question, purse)
        except GatewayError as refusal:
            self._metrics.refused(self.id, refusal.reason)
            raise

    async def _ask(self, question: Question, purse: Purse) -> Reply:
        if not self.admits():
            raise BreakerOpenError(self.id)
        request = question.request(self.model)
        attempt = await self._admit(question, purse, self._worst(request))
        try:
            question.spending.asked(self.id)
            with chat_span(self.id, request.parameters) as span:
                reply = await self._attempt(request, attempt)
                show_reply(span, reply)
            return reply
        finally:
            self._slots.release()

    async def _admit(self, question: Question, purse: Purse, worst: Worst) -> _Attempt:
        """Wait for all that stands before an attempt; who is admitted holds a slot."""
        deadline_s = question.spending.context.deadline_s
        with turn_span(self.id) as span:
            await self._slots.acquire()
            try:
                span.add_event("headgate.slot_free")
                await self._pace(worst, deadline_s)
                span.add_event("headgate.rate_free")
                reservation = await self._reserve(question, purse, worst)
                ticket = self._enter(worst, reservation)
            except BaseException:
                self._slots.release()
                raise
        return _Attempt(ticket, worst, reservation, question.spending, self._clock(), deadline_s)

    def _worst(self, request: ConverseRequest) -> Worst:
        input_tokens = -(-len(request.body) // _BYTES_A_TOKEN)
        most = self.price.most_microdollars(input_tokens, request.max_tokens)
        return Worst(input_tokens + request.max_tokens, most)

    async def _pace(self, worst: Worst, deadline_s: float) -> None:
        wait_s = self._limiter.reserve(worst.tokens, self._clock(), deadline_s)
        if wait_s is None:
            raise RateLimitedError(self.id)
        if wait_s:
            try:
                await asyncio.sleep(wait_s)
            except asyncio.CancelledError:
                self._limiter.cancel(worst.tokens)
                raise

    async def _reserve(self, question: Question, purse: Purse, worst: Worst) -> Reservation:
        context, reservation = question.spending.context, None
        try:
            reservation = await purse.reserve(context.agent, context.tenant, worst.tokens, worst.cost_microdollars)
        except UnavailableError as error:
            raise PurseUnavailableError(self.id) from error
        finally:
            if reservation is None:
                self._limiter.cancel(worst.tokens)
        if reservation is None:
            raise BudgetExhaustedError(self.id)
        return reservation

    def _enter(self, worst: Worst, reservation: Reservation) -> int:
        ticket = self._breaker.enter(self._clock())
        if ticket is None:
            self._limiter.cancel(worst.tokens)
            reservation.settle(0, 0)
            raise BreakerOpenError(self.id)
        return ticket

    async def _attempt(self, request: ConverseRequest, attempt: _Attempt) -> Reply:
        try:
            left_s = max(_LEAST_S, attempt.deadline_s - attempt.began_s)
            message = self.model.parse(await self.model.attempt(request, left_s))
        except asyncio.CancelledError:
            # Whether it was paid nobody can say: the reservation stays counted.
            self._ended(attempt, "cancelled")
            self._metrics.unsettled(self.id, attempt.worst.cost_microdollars)
            raise
        except Exception as error:
            self._ended(attempt, reason_of(error))
            if perhaps_paid(error):
                self._metrics.unsettled(self.id, attempt.worst.cost_microdollars)
            else:
                attempt.settle(0, 0)
                self._limiter.give_back(attempt.worst.tokens)
            raise
        self._ended(attempt, "answered")
        reply = self._priced(message)
        used = reply.usage.input_tokens + reply.usage.output_tokens
        attempt.settle(used, reply.cost_microdollars)
        self._limiter.give_back(max(0, attempt.worst.tokens - used))
        self._metrics.paid(self.id, reply.usage, reply.cost_microdollars)
        return reply

    def _ended(self, attempt: _Attempt, outcome: str) -> None:
        now_s = self._clock()
        seconds = now_s - attempt.began_s
        self._metrics.attempted(self.id, outcome, seconds)
        if outcome == "answered":
            self._slots.limit.answered(self._slots.in_flight)
        elif outcome == "throttled":
            self._slots.limit.throttled(attempt.began_s, now_s)
        if outcome in _MENDED_BY_A_PERSON:
            self._breaker.park(now_s)
            logger.error("a model refuses calls: see to credentials, access and account", model=self.id, reason=outcome)
        else:
            self._breaker.leave(attempt.ticket, now_s, good=self._verdict(outcome, seconds))

    def _verdict(self, outcome: str, seconds: float) -> bool | None:
        """What an outcome says about the model's health."""
        if outcome == "answered":
            return True
        if outcome == "throttled":
            # Fewer calls at a time is the answer to throttling, until there are no fewer.
            return False if self._slots.limit.at_floor else None
        if outcome in {"timeout", "cancelled"} and seconds < FAIR_TIME_S:
            return None
        return False if outcome in _THE_MODELS_FAULT or outcome == "cancelled" else None

    def _priced(self, message: AIMessage) -> Reply:
        counted = message.usage_metadata
        if counted is None:
            return Reply(self.id, message, Usage(calls=1), 0)
        details: Mapping[str, Any] = counted.get("input_token_details") or {}
        written = sum(value for name, value in details.items() if name.startswith(("cache_creation", "ephemeral_")))
        usage = Usage(1, counted["input_tokens"], counted["output_tokens"])
        cost = self.price.cost_microdollars(usage, cache_read=details.get("cache_read", 0), cache_written=written)
        return Reply(self.id, message, usage, cost)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt under way."""

    ticket: int
    worst: Worst
    reservation: Reservation
    spending: Spending
    began_s: float
    deadline_s: float

    def settle(self, tokens: int, cost_microdollars: int) -> None:
        """Tell budget and record alike that the price is known."""
        self.reservation.settle(tokens, cost_microdollars)
        self.spending.settled()
