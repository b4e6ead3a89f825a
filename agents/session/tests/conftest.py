"""A scripted chat model and events to decide on."""

# ruff: noqa: ARG002 - the signatures are those of BaseChatModel

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from headgate_agent_session.agent import SessionAgent
from headgate_agent_session.context import SessionContext, load_context
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headgate_schemas.agent import Agent
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.runnables import Runnable

NOON_MS = 1_760_011_200_000
Event = dict[str, Any]


class ScriptedModel(BaseChatModel):
    """Answers with what it was given, in turn, and remembers what it was asked."""

    replies: list[Any]
    asked: list[list[BaseMessage]] = Field(default_factory=list)
    options: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=list(tools), tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise AssertionError("deliberation is asynchronous")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.asked.append(messages)
        self.options.append(kwargs)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return ChatResult(generations=[ChatGeneration(message=reply)])


@pytest.fixture(scope="session")
def context() -> SessionContext:
    return load_context("model-a")


@pytest.fixture(scope="session")
def agent_with(context: SessionContext) -> Callable[..., tuple[Agent, ScriptedModel]]:
    def build(*replies: AIMessage | Exception) -> tuple[Agent, ScriptedModel]:
        model = ScriptedModel(replies=list(replies))
        return SessionAgent(model, context), model

    return build


@pytest.fixture(scope="session")
def event() -> Callable[..., Event]:
    def build(event_type: str = "page_view", *, event_id: str = "e-1", at_s: float = 0.0, **known: Any) -> Event:
        required: dict[str, dict[str, Any]] = {
            "transaction": {"amount": 30.0, "currency": "USD"},
            "login": {"outcome": "success"},
            "page_view": {"page": "/"},
        }
        names = ("amount", "currency", "merchant", "country", "device_id", "channel", "outcome", "page", "note")
        attributes = {"user_id": "customer-4711", **dict.fromkeys(names), **required.get(event_type, {}), **known}
        return {
            "event_id": event_id,
            "event_type": event_type,
            "source_system": "test",
            "event_timestamp": NOON_MS + round(at_s * 1000),
            "payload": {"attributes": attributes},
        }

    return build


@pytest.fixture(scope="session")
def call() -> Callable[..., AIMessage]:
    """A reply that calls the tool; keyword arguments replace arguments of the call."""

    def build(**args: Any) -> AIMessage:
        arguments = {
            "intent": "browse",
            "decision_reason": "A person who looks around.",
            "risk_score": 0.1,
            "confidence": 0.8,
            **args,
        }
        return AIMessage(
            content="",
            tool_calls=[{"name": "record_intent", "args": arguments, "id": "call-0"}],
            usage_metadata={"input_tokens": 100, "output_tokens": 10, "total_tokens": 110},
            response_metadata={"stopReason": "tool_use"},
        )

    return build
