"""The deliberation graph: one run a grey event; ask the model, guard what it says."""

# ruff: noqa: TC002 - LangGraph reads these annotations at run time

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

from headgate_agent_toolkit.answers import ask
from headgate_schemas.agent import Decision, GreyCase, Usage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from headgate_agent_session.guard import guard
from headgate_agent_session.prompts import compose
from headgate_agent_session.tools import INTENT, RecordIntent

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from headgate_agent_session.context import SessionContext


class DeliberationState(TypedDict):
    """One grey event on its way through the model.

    Attributes:
        case: The event, its features and the rules' floor.
        verdict: What the model said: valid, not yet trusted.
        usage: What that took.
        prompt_hash: SHA-256 of the prompt, hexadecimal.
        decision: The outcome.
    """

    case: GreyCase
    verdict: NotRequired[RecordIntent]
    usage: NotRequired[Usage]
    prompt_hash: NotRequired[str]
    decision: NotRequired[Decision]


DeliberationGraph = CompiledStateGraph[DeliberationState, None, DeliberationState, DeliberationState]


class DeliberationNodes:
    """The nodes; all are coroutines: LangGraph would run a plain function on another thread, which costs more than it."""

    def __init__(self, model: BaseChatModel, context: SessionContext) -> None:
        self._model = model.bind_tools([INTENT.schema()], tool_choice=INTENT.name)
        self._context = context
        self._version = context.version

    async def ask(self, state: DeliberationState) -> dict[str, object]:
        """Ask the model, and once more where its call is not valid."""
        context = self._context
        messages, digest = compose(state["case"], context.policy, self._version, context.masker)
        verdict, usage = await ask(self._model, messages, INTENT, digest)
        return {"verdict": verdict, "usage": usage, "prompt_hash": digest}

    async def guard(self, state: DeliberationState) -> dict[str, Decision]:
        """Hold the verdict against the rules' floor."""
        context = self._context
        decision = guard(
            state["verdict"],
            state["case"],
            context.policy,
            context.masker,
            prompt_hash=state["prompt_hash"],
            usage=state["usage"],
        )
        return {"decision": decision}


def build_deliberation_graph(model: BaseChatModel, context: SessionContext) -> DeliberationGraph:
    """Compile ask -> guard around a chat model.

    Raises:
        ValueError: The model cannot be forced to call a tool.
    """
    nodes = DeliberationNodes(model, context)
    graph = StateGraph(DeliberationState)
    graph.add_node("ask", nodes.ask)
    graph.add_node("guard", nodes.guard)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "guard")
    graph.add_edge("guard", END)
    return graph.compile(name="deliberation")
