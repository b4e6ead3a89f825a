"""A scripted chat model and events to decide on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from headgate_agent_risk.agent import RiskAgent
from headgate_agent_risk.context import RiskContext, load_context
from headgate_agent_toolkit.testing import ScriptedModel
from headgate_schemas.agent import Agent, GreyCase, Memory
from hypothesis import settings
from langchain_core.messages import AIMessage

if TYPE_CHECKING:
    from collections.abc import Callable


settings.register_profile("patient", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("patient")

NOON_MS = 1_760_011_200_000
Event = dict[str, Any]


@pytest.fixture(scope="session")
def scripted() -> Callable[..., ScriptedModel]:
    return lambda *replies: ScriptedModel(replies=list(replies))


@pytest.fixture(scope="session")
def context() -> RiskContext:
    return load_context("model-a")


@pytest.fixture(scope="session")
def agent_with(context: RiskContext) -> Callable[..., tuple[Agent, ScriptedModel]]:
    def build(*replies: AIMessage | Exception) -> tuple[Agent, ScriptedModel]:
        model = ScriptedModel(replies=list(replies))
        return RiskAgent(model, context), model

    return build


@pytest.fixture(scope="session")
def event() -> Callable[..., Event]:
    def build(event_type: str = "transaction", *, event_id: str = "e-1", at_ms: int = NOON_MS, **known: Any) -> Event:
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
            "event_timestamp": at_ms,
            "payload": {"attributes": attributes},
        }

    return build


@pytest.fixture(scope="session")
def grey(
    agent_with: Callable[..., tuple[Agent, ScriptedModel]], event: Callable[..., Event]
) -> Callable[..., GreyCase]:
    """A grey payment; its floor is to flag where ``country="KP"`` is given."""
    agent, _ = agent_with()

    def build(*, memory: Memory | None = None, **known: Any) -> GreyCase:
        (result,) = agent.triage([event(**{"amount": 200.0, **known})], [memory])
        assert isinstance(result, GreyCase)
        return result

    return build


@pytest.fixture(scope="session")
def call() -> Callable[..., AIMessage]:
    """A reply that calls the tool; keyword arguments replace arguments of the call."""

    def build(
        *, tool: str = "record_decision", times: int = 1, content: Any = "", stop: str = "tool_use", **args: Any
    ) -> AIMessage:
        arguments = {
            "decision": "allow",
            "decision_reason": "A large basket and nothing else.",
            "risk_score": 0.2,
            "priority": "low",
            "confidence": 0.8,
            **args,
        }
        return AIMessage(
            content=content,
            tool_calls=[{"name": tool, "args": arguments, "id": f"call-{n}"} for n in range(times)],
            usage_metadata={"input_tokens": 100, "output_tokens": 10, "total_tokens": 110},
            response_metadata={"stopReason": stop},
        )

    return build
