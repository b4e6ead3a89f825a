"""Imports of the agents and all they are made of, ahead of the worker that uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from langchain_core.language_models import BaseChatModel

from headgate_enricher.agents import load_agent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.runnables import Runnable

    from headgate_enricher.config import Settings


class Nobody(BaseChatModel):
    """A model that takes all tools and answers nothing."""

    @property
    def _llm_type(self) -> str:
        return "headgate-nobody"

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Runnable[Any, Any]:
        """Bind tools, whatever they are."""
        return self.bind(tools=tools, tool_choice=tool_choice, **kwargs)

    def _generate(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotImplementedError("An agent that is being built asks no model.")


def preload(settings: Settings) -> None:
    """Build the agents once, for their imports' sake: many come with the graphs, not with the package.

    Raises:
        ConfigurationError: There is no such agent, or it cannot be built.
    """
    for name in settings.agents:
        load_agent(name, Nobody(), model_id=settings.models.primary.id)
