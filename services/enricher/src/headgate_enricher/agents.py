"""Finds agents by their names among the installed packages."""

from __future__ import annotations

from importlib.metadata import entry_points
from inspect import signature
from typing import TYPE_CHECKING

from headgate_runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_schemas.agent import Agent, ExternalTool
    from langchain_core.language_models import BaseChatModel

GROUP = "headgate.agents"


def load_agent(name: str, model: BaseChatModel, *, model_id: str, tools: Sequence[ExternalTool] = ()) -> Agent:
    """Build the agent whose factory is the entry point ``name`` of the group ``headgate.agents``.

    A factory without the parameter ``tools`` makes an agent that calls none.

    Raises:
        ConfigurationError: There is no such agent, or it cannot be built.
    """
    found = entry_points(group=GROUP)
    if name not in found.names:
        known = ", ".join(sorted(found.names)) or "none"
        raise ConfigurationError(f"No agent {name!r} (found: {known}): install its package, or name another.")
    try:
        factory = found[name].load()
        offered = {"tools": tools} if "tools" in signature(factory).parameters else {}
        agent: Agent = factory(model, model_id=model_id, **offered)
    except (ImportError, AttributeError, TypeError, ValueError, OSError) as error:
        raise ConfigurationError(f"Agent {name!r} cannot be built: {error}") from error
    return agent
