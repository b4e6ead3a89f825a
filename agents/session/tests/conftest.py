"""A scripted chat model and events to decide on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from headgate_agent_session.agent import SessionAgent
from headgate_agent_session.context import SessionContext, load_context
from headgate_agent_toolkit.testing import ScriptedModel, tool_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_schemas.agent import Agent
    from langchain_core.messages import AIMessage

NOON_MS = 1_760_011_200_000
Event = dict[str, Any]


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
        return tool_call("record_intent", arguments)

    return build
