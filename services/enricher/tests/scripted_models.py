"""Models that answer by a script, behind the real gateway."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import orjson
from botocore.exceptions import ClientError
from headgate_enricher.bedrock.request import ConverseRequest
from headgate_enricher.bedrock.retries import RetryPolicy
from headgate_enricher.gateway.cache import AnswerCache
from headgate_enricher.gateway.calls import Calls
from headgate_enricher.gateway.endpoint import Endpoint
from headgate_enricher.gateway.metrics import GatewayMetrics
from headgate_enricher.gateway.model import GatewayModel
from headgate_enricher.gateway.protocols import CallContext, Purse, RecordedAnswer, Reservation
from headgate_enricher.gateway.routes import Routes, RouteSettings
from headgate_enricher.gateway.spending import Spending, deliberation_of
from headgate_enricher.pricing import load_prices
from headgate_runtime.errors import UnavailableError
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import TopicPartition
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

if TYPE_CHECKING:
    from headgate_enricher.bedrock.settings import ModelSettings
    from langchain_core.messages import BaseMessage

PRIMARY, CHEAPER, FALLBACK = "anthropic.claude-sonnet-5", "amazon.nova-micro-v1:0", "anthropic.claude-haiku-4-5"
MAX_TOKENS = 50
INPUT_TOKENS, OUTPUT_TOKENS = 20, 10
Behaviour = Callable[[], Awaitable[None]]


class _Uncounted:
    def settle(self, tokens: int, cost_microdollars: int) -> None:
        """Nobody counts."""


class UnlimitedPurse:
    """Pays for everything."""

    async def reserve(self, agent: str, tenant: str, tokens: int, cost_microdollars: int) -> Reservation | None:  # noqa: ARG002 (Purse)
        return _Uncounted()


def refused(status: int) -> ClientError:
    """An answer with an error's status."""
    return ClientError({"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Converse")


class ScriptedModel:
    """Ends each attempt as the script says; where it has ended, attempts succeed."""

    def __init__(self, model_id: str, *, takes_tools: bool = True) -> None:
        self.model_id = model_id
        self.script: deque[Exception | Behaviour] = deque()
        self.attempts = 0
        self._takes_tools = takes_tools

    def prepare(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> ConverseRequest:
        content = {"messages": [[message.type, message.content] for message in messages], "stop": stop, "tools": kwargs}
        parameters = {"modelId": self.model_id, "inferenceConfig": {"maxTokens": MAX_TOKENS}}
        return ConverseRequest(parameters, "/", {}, orjson.dumps(content, default=repr))

    async def attempt(self, request: ConverseRequest, left_s: float) -> dict[str, Any]:
        assert left_s > 0
        self.attempts += 1
        step = self.script.popleft() if self.script else None
        if isinstance(step, Exception):
            raise step
        if step is not None:
            await step()
        answer: dict[str, Any] = orjson.loads(request.body)
        return answer

    def parse(self, answer: dict[str, Any]) -> AIMessage:
        total = INPUT_TOKENS + OUTPUT_TOKENS
        return AIMessage(
            f"{self.model_id} on {answer['messages'][-1][1]}",
            usage_metadata={"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, "total_tokens": total},
            response_metadata={"stopReason": "end_turn"},
        )

    def bind_tools(self, tools: list[Any], tool_choice: Any) -> Any:
        if tool_choice and not self._takes_tools:
            raise ValueError("It takes no tools.")
        return RunnableLambda(lambda _: None).bind(tools=tools, tool_choice=tool_choice)


@dataclass
class CountingPurse:
    """Grants up to a limit in micro-dollars; remembers what became of each reservation."""

    limit: int
    reserved: list[tuple[str, str, int, int]] = field(default_factory=list)
    settled: dict[int, tuple[int, int]] = field(default_factory=dict)
    away: bool = False

    async def reserve(self, agent: str, tenant: str, tokens: int, cost_microdollars: int) -> Reservation | None:
        await asyncio.sleep(0)
        if self.away:
            raise UnavailableError("no ledger")
        if cost_microdollars > self.limit:
            return None
        self.reserved.append((agent, tenant, tokens, cost_microdollars))
        return _Held(self, len(self.reserved) - 1)


@dataclass
class _Held:
    purse: CountingPurse
    number: int

    def settle(self, tokens: int, cost_microdollars: int) -> None:
        assert self.number not in self.purse.settled
        self.purse.settled[self.number] = (tokens, cost_microdollars)


class MemoryRecordings:
    """Answers by offset and number."""

    def __init__(self) -> None:
        self.answers: dict[tuple[int, int], RecordedAnswer] = {}
        self.away = False

    def find(self, context: CallContext, number: int) -> RecordedAnswer | None:
        return self.answers.get((context.offset, number))

    async def store(self, context: CallContext, number: int, answer: RecordedAnswer) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise UnavailableError("no broker")
        self.answers[context.offset, number] = answer


class World:
    """A gateway over scripted models, and what an agent does with it."""

    def __init__(
        self, purse: Purse | None = None, *, most_in_flight: int = 64, attempts: int = 3, **models: Any
    ) -> None:
        self.now_s = 0.0
        self.metrics = Metrics()
        self.shown = GatewayMetrics(self.metrics)
        self.most_in_flight = most_in_flight
        self.models: dict[str, ScriptedModel] = {}
        self.no_tools: set[str] = set()
        chosen = {"primary": PRIMARY, "cheaper": CHEAPER, "fallback": FALLBACK, **models}
        self.recordings = MemoryRecordings()
        self.calls = Calls(
            routes=Routes(RouteSettings.model_validate(chosen), self.endpoint),
            purse=purse or UnlimitedPurse(),
            cache=AnswerCache(2),
            retries=RetryPolicy(attempts, 0.001, 0.002),
            metrics=self.shown,
        )
        self.calls.record_in(self.recordings)
        self.model = GatewayModel(calls=self.calls)

    def endpoint(self, model: ModelSettings) -> Endpoint:
        scripted = self.models[model.id] = ScriptedModel(model.id, takes_tools=model.id not in self.no_tools)
        return Endpoint(
            model,
            cast("Any", scripted),
            load_prices(None).price(model.id),
            most_in_flight=self.most_in_flight,
            metrics=self.shown,
            clock=lambda: self.now_s,
        )

    def script(self, model_id: str, *steps: Exception | Behaviour) -> None:
        self.models[model_id].script.extend(steps)

    def attempts(self, model_id: str) -> int:
        return self.models[model_id].attempts

    async def ask(self, text: str = "hello", *, tenant: str = "shop", offset: int = 0) -> tuple[str, Spending]:
        """Deliberate with one call, with five seconds for it."""
        context = CallContext(TopicPartition("in", 0), offset, "judge", "1", tenant, self.now_s + 5.0)
        with deliberation_of(context) as spending:
            message = await self.model.ainvoke([HumanMessage(text)])
        return message.text, spending

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"headgate_{name}", labels) or 0.0

    def ended(self, model: str, error: str = "") -> float:
        """Attempts that ended so, as the metrics by the GenAI conventions say."""
        return ended(self.metrics, model, error)

    def tokens(self, model: str, kind: str) -> float:
        """Tokens of answers, as the metrics by the GenAI conventions say."""
        labels = chat_of(model) | {"gen_ai_token_type": kind}
        return self.metrics.registry.get_sample_value("gen_ai_client_token_usage_sum", labels) or 0.0


def chat_of(model: str) -> dict[str, str]:
    return {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "aws.bedrock",
        "gen_ai_request_model": model,
    }


def ended(metrics: Metrics, model: str, error: str = "") -> float:
    labels = chat_of(model) | {"error_type": error}
    return metrics.registry.get_sample_value("gen_ai_client_operation_duration_seconds_count", labels) or 0.0
