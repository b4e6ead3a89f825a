"""A LangGraph agent that decides on payments, logins and page views."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_schemas.agent import Agent, ExternalTool
    from langchain_core.language_models import BaseChatModel


def create_agent(model: BaseChatModel, *, model_id: str, tools: Sequence[ExternalTool] = ()) -> Agent:
    """Build the agent; the factory behind the entry point ``risk`` of the group ``headgate.agents``.

    Args:
        model: Chat model that can be forced to call a tool.
        model_id: The model's id, part of the agent's version.
        tools: Tools of servers outside that the model may call as well; they are part of the version.

    Raises:
        ValueError: The packaged rules or policy contradict themselves.
    """
    from headgate_agent_risk.agent import RiskAgent  # noqa: PLC0415 - who only generates events needs no LangGraph
    from headgate_agent_risk.context import load_context  # noqa: PLC0415 - the same

    return RiskAgent(model, load_context(model_id, tools))
