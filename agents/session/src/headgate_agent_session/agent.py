"""The agent as the enricher sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_agent_session.deliberation import build_deliberation_graph
from headgate_agent_session.guard import fall_back
from headgate_agent_session.memory import remember
from headgate_agent_session.triage import Triage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_schemas.agent import Decision, Event, GreyCase, Memory
    from langchain_core.language_models import BaseChatModel

    from headgate_agent_session.context import SessionContext


class SessionAgent:
    """Tells what sessions are after; implements :class:`headgate_schemas.agent.Agent`."""

    def __init__(self, model: BaseChatModel, context: SessionContext) -> None:
        self._policy = context.policy
        self._version = context.version
        self._triage = Triage(context.rules, context.policy)
        self._deliberation = build_deliberation_graph(model, context)

    @property
    def name(self) -> str:
        """``session``, as the entry point."""
        return "session"

    @property
    def version(self) -> str:
        """Short hash of prompt, tool, model id, rules, policy and code."""
        return self._version

    def remember(self, memory: Memory | None, event: Event) -> Memory:
        """Give what is remembered of an account after an event: its running session."""
        return remember(memory, event, self._policy)

    def triage(self, events: Sequence[Event], memories: Sequence[Memory | None]) -> Sequence[Decision | GreyCase]:
        """Decide a micro-batch by rules; one result an event, in order."""
        triage = self._triage
        return [triage(event, memory) for event, memory in zip(events, memories, strict=True)]

    async def deliberate(self, case: GreyCase) -> Decision:
        """Ask the model about one grey event; one call and at most one repair.

        Raises:
            ModelAnswerError: The model answered and the answer is of no use.
            Exception: Whatever the chat model raised on the first call.
        """
        decision: Decision = (await self._deliberation.ainvoke({"case": case}))["decision"]
        return decision

    def fall_back(self, case: GreyCase, reason: str) -> Decision:
        """Decide a grey event without the model; ``reason`` is recorded."""
        return fall_back(case, reason, self._policy)
