"""The deliberation graph: one run a grey event; prompt -> ask (at most twice) -> guard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from headgate_schemas.agent import ModelAnswerError, Usage
from langchain_core.messages import AIMessage, SystemMessage, ToolMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from headgate_agent_risk.answers import InvalidAnswerError, UselessAnswerError, read_answer, usage_of
from headgate_agent_risk.guard import guard
from headgate_agent_risk.prompts import compose, fence, repair_request, system_prompt
from headgate_agent_risk.state import DeliberationState
from headgate_agent_risk.tools import TOOL_NAME, tool_schema

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from headgate_agent_risk.context import RiskContext

DeliberationGraph = CompiledStateGraph[DeliberationState, None, DeliberationState, DeliberationState]
_MAX_CALLS = 2


class DeliberationNodes:
    """The nodes, with the model and the fixed part of the prompt.

    All are coroutines: LangGraph would run a plain function on another thread, which costs more than the function.
    """

    def __init__(self, model: BaseChatModel, context: RiskContext) -> None:
        self._model = model.bind_tools([tool_schema()], tool_choice=TOOL_NAME)
        self._policy = context.policy
        self._version = context.version
        self._system = SystemMessage(system_prompt(context.policy))

    async def prompt(self, state: DeliberationState) -> dict[str, Any]:
        """Write the prompt of the case."""
        messages, digest = compose(self._system, fence(state["case"], self._policy, self._version))
        return {"messages": messages, "prompt_hash": digest, "usage": Usage()}

    async def ask(self, state: DeliberationState) -> dict[str, Any]:
        """Call the model and take the verdict out of its reply, or go on to ask once more with what was wrong with it.

        A repair that the provider does not answer leaves an answer that is paid for and of no use, so that nobody
        pays for it a second time by repeating the whole deliberation.
        """
        spent, messages = state["usage"], state["messages"]
        try:
            reply = await self._model.ainvoke(messages)
        except Exception as error:
            if spent.calls:
                raise ModelAnswerError("invalid_answer", spent, state["prompt_hash"]) from error
            raise
        spent += usage_of(reply)
        try:
            return {"verdict": read_answer(reply), "usage": spent}
        except UselessAnswerError as error:
            raise ModelAnswerError(error.reason, spent, state["prompt_hash"]) from error
        except InvalidAnswerError as error:
            if spent.calls >= _MAX_CALLS:
                raise ModelAnswerError("invalid_answer", spent, state["prompt_hash"]) from error
            return {"messages": [*messages, reply, *_returned(reply, error.problem)], "usage": spent}

    async def guard(self, state: DeliberationState) -> dict[str, Any]:
        """Hold the verdict against the rules' floor."""
        decision = guard(
            state["verdict"], state["case"], self._policy, prompt_hash=state["prompt_hash"], usage=state["usage"]
        )
        return {"decision": decision}


def _returned(reply: AIMessage, problem: str) -> list[ToolMessage]:
    """Answer every call of the reply, as providers require, with what was wrong."""
    calls = [*reply.tool_calls, *reply.invalid_tool_calls]
    request = repair_request(problem)
    return [ToolMessage(request, tool_call_id=call["id"] or "", status="error") for call in calls]


def _after_ask(state: DeliberationState) -> Literal["guard", "ask"]:
    return "guard" if "verdict" in state else "ask"


def build_deliberation_graph(model: BaseChatModel, context: RiskContext) -> DeliberationGraph:
    """Compile the graph around a chat model.

    Raises:
        ValueError: The model cannot be forced to call a tool.
    """
    nodes = DeliberationNodes(model, context)
    graph = StateGraph(DeliberationState)
    graph.add_node("prompt", nodes.prompt)
    graph.add_node("ask", nodes.ask)
    graph.add_node("guard", nodes.guard)
    graph.add_edge(START, "prompt")
    graph.add_edge("prompt", "ask")
    graph.add_conditional_edges("ask", _after_ask, ["guard", "ask"])
    graph.add_edge("guard", END)
    return graph.compile(name="deliberation")
