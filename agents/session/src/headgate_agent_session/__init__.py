"""A LangGraph agent that tells what a session is after, on its logins and page views."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_schemas.agent import Agent
    from langchain_core.language_models import BaseChatModel


def create_agent(model: BaseChatModel, *, model_id: str) -> Agent:
    """Build the agent; the factory behind the entry point ``session`` of the group ``headgate.agents``.

    Args:
        model: Chat model that can be forced to call a tool.
        model_id: The model's id, part of the agent's version.

    Raises:
        ValueError: The packaged rules or policy contradict themselves.
    """
    from headgate_agent_session.agent import SessionAgent  # noqa: PLC0415 - who only wants the stand-in needs no LangGraph
    from headgate_agent_session.context import load_context  # noqa: PLC0415 - the same

    return SessionAgent(model, load_context(model_id))
