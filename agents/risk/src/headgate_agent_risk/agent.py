"""The agent as the enricher sees it: two graphs, a fallback and a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_agent_risk.deliberation import build_deliberation_graph
from headgate_agent_risk.fallback import fall_back
from headgate_agent_risk.memory import remember
from headgate_agent_risk.triage import build_triage_graph, run_triage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_schemas.agent import Decision, Event, GreyCase, Memory
    from langchain_core.language_models import BaseChatModel

    from headgate_agent_risk.context import RiskContext
    from headgate_agent_risk.toolbox import Toolbox


class RiskAgent:
    """Decides on payments, logins and page views; implements :class:`headgate_schemas.agent.Agent`."""

    def __init__(self, model: BaseChatModel, context: RiskContext, toolbox: Toolbox | None = None) -> None:
        self._policy = context.policy
        self._version = context.version
        self._triage = build_triage_graph(context)
        self._deliberation = build_deliberation_graph(model, context, toolbox or context.toolbox())

    @property
    def name(self) -> str:
        """``risk``, as the entry point."""
        return "risk"

    @property
    def version(self) -> str:
        """Short hash of prompts, tool, model id, rules, policy and code."""
        return self._version

    def remember(self, memory: Memory | None, event: Event) -> Memory:
        """Give what is remembered of an account after an event."""
        return remember(memory, event, self._policy)

    def triage(self, events: Sequence[Event], memories: Sequence[Memory | None]) -> Sequence[Decision | GreyCase]:
        """Decide a micro-batch by rules; one result an event, in order."""
        return run_triage(self._triage, events, memories)

    async def deliberate(self, case: GreyCase) -> Decision:
        """Ask the model about one grey event; at most three calls and a repair.

        Raises:
            ModelAnswerError: The model answered and the answer is of no use.
            Exception: Whatever the chat model raised on the first call.
        """
        decision: Decision = (await self._deliberation.ainvoke({"case": case}))["decision"]
        return decision

    def fall_back(self, case: GreyCase, reason: str) -> Decision:
        """Decide a grey event without the model; ``reason`` is recorded."""
        return fall_back(case, reason, self._policy)
