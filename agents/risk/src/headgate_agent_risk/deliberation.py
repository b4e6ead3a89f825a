"""The deliberation graph: one run a grey event; ask, look up what the model asks for, ask again, guard.

Most events take one call and so one step of the graph: steps, not nodes' work, are what LangGraph's time goes into.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from headgate_agent_toolkit.answers import InvalidAnswerError, UselessAnswerError, usage_of
from headgate_schemas.agent import Evidence, ModelAnswerError
from langchain_core.messages import SystemMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from headgate_agent_risk.answers import read_answer
from headgate_agent_risk.guard import guard
from headgate_agent_risk.prompts import compose, fence, system_prompt
from headgate_agent_risk.state import DeliberationState, Talk
from headgate_agent_risk.tools import DECISION, TOOL_NAME, RecordDecision, tool_schema

if TYPE_CHECKING:
    from headgate_schemas.agent import Decision, GreyCase
    from langchain_core.language_models import BaseChatModel

    from headgate_agent_risk.context import RiskContext
    from headgate_agent_risk.toolbox import Toolbox

DeliberationGraph = CompiledStateGraph[DeliberationState, None, DeliberationState, DeliberationState]
MOST_ROUNDS = 3
"""Calls of the model about one event, one repair not counted; in the last one it has to decide."""

Next = Command[Literal["ask", "look_up"]]


class DeliberationNodes:
    """The nodes, with the model, the tools and the fixed part of the prompt.

    All are coroutines: LangGraph would run a plain function on another thread, which costs more than the function.
    """

    def __init__(self, model: BaseChatModel, context: RiskContext, toolbox: Toolbox) -> None:
        tools = [tool_schema(), *toolbox.schemas()]
        self._looking = model.bind_tools(tools, tool_choice="any")
        self._deciding = model.bind_tools(tools, tool_choice=TOOL_NAME)
        self._toolbox = toolbox
        self._context = context
        self._version = context.version
        self._system = SystemMessage(system_prompt(context.policy))

    async def ask(self, state: DeliberationState) -> dict[str, Any] | Next:
        """Call the model; take the decision out of its reply, look up what it asks for, or tell it what was wrong.

        A later call that the provider does not answer leaves calls that are paid for and of no use, so that nobody
        pays for them a second time by repeating the whole deliberation.
        """
        case = state["case"]
        talk = state.get("talk") or self._opened(case)
        final = talk.repaired or talk.usage.calls >= MOST_ROUNDS - 1
        try:
            reply = await (self._deciding if final else self._looking).ainvoke(list(talk.messages))
        except Exception as error:
            if talk.usage.calls:
                raise _useless("invalid_answer", talk) from error
            raise
        before = talk
        talk = dataclasses.replace(talk, messages=(*talk.messages, reply), usage=talk.usage + usage_of(reply))
        try:
            answer = read_answer(reply, final=final)
        except UselessAnswerError as error:
            raise _useless(error.reason, talk) from error
        except InvalidAnswerError as error:
            if before.repaired:
                raise _useless("invalid_answer", talk) from error
            returned = (*talk.messages, *DECISION.repair(reply, error.problem))
            return Command(goto="ask", update={"talk": dataclasses.replace(talk, messages=returned, repaired=True)})
        if isinstance(answer, RecordDecision):
            return {"decision": self._guarded(answer, case, talk)}
        return Command(goto="look_up", update={"talk": talk, "calls": answer})

    async def look_up(self, state: DeliberationState) -> dict[str, Talk]:
        """Answer the tools the model called; whatever is not on the allow-list is refused."""
        talk = state["talk"]
        found = await self._toolbox.answer(state["calls"], state["case"])
        told = dataclasses.replace(
            talk,
            messages=(*talk.messages, *found.messages),
            evidence=(*talk.evidence, *found.evidence),
            unlisted=talk.unlisted + found.unlisted,
        )
        return {"talk": told}

    def _opened(self, case: GreyCase) -> Talk:
        context = self._context
        messages, digest = compose(self._system, fence(case, context.policy, self._version, context.masker))
        return Talk(tuple(messages), digest)

    def _guarded(self, answer: RecordDecision, case: GreyCase, talk: Talk) -> Decision:
        evidence = talk.evidence
        if talk.unlisted:
            evidence = (Evidence("guard", "unlisted_tool_calls_refused", str(talk.unlisted)), *evidence)
        return guard(
            answer, case, self._context, prompt_hash=talk.prompt_hash, usage=talk.usage, evidence=tuple(evidence)
        )


def _useless(reason: str, talk: Talk) -> ModelAnswerError:
    return ModelAnswerError(reason, talk.usage, talk.prompt_hash)


def build_deliberation_graph(model: BaseChatModel, context: RiskContext, toolbox: Toolbox) -> DeliberationGraph:
    """Compile the graph around a chat model and what it may look up.

    Raises:
        ValueError: The model cannot be forced to call a tool.
    """
    nodes = DeliberationNodes(model, context, toolbox)
    graph = StateGraph(DeliberationState)
    graph.add_node("ask", nodes.ask, destinations=("ask", "look_up"))
    graph.add_node("look_up", nodes.look_up)
    graph.add_edge(START, "ask")
    graph.add_edge("look_up", "ask")
    return graph.compile(name="deliberation")
