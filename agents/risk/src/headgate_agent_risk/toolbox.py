"""The allow-list around the tools: what is not on it is refused to the model and never runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headgate_agent_toolkit.answers import describe, function_schema
from headgate_agent_toolkit.evidence import shown
from headgate_schemas.agent import Evidence
from langchain_core.messages import ToolMessage
from pydantic import BaseModel, ValidationError

from headgate_agent_risk.tracing import refused, tool_span

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from headgate_schemas.agent import GreyCase
    from langchain_core.messages import ToolCall

    from headgate_agent_risk.lookups import LookUp

MOST_CALLS = 4
"""Calls of one reply that are answered; the rest is refused."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of the calls of one reply.

    Attributes:
        messages: One answer a call, in order, as providers require.
        evidence: What the tools said.
        unlisted: Calls of tools that are not on the list, all refused.
    """

    messages: tuple[ToolMessage, ...]
    evidence: tuple[Evidence, ...]
    unlisted: int


class Toolbox:
    """Runs the tools on the allow-list, each call within its time.

    Args:
        tools: Tools there are.
        allowed: Names of those that a model may call.
        time_limit_s: Longest time of one call.

    Raises:
        ValueError: The list names a tool there is not.
    """

    def __init__(self, tools: Iterable[LookUp], *, allowed: Collection[str], time_limit_s: float) -> None:
        known = {tool.name: tool for tool in tools}
        if missing := set(allowed) - known.keys():
            raise ValueError(f"the allow-list names no tool: {', '.join(sorted(missing))}; known: {', '.join(known)}")
        self._tools = {name: known[name] for name in allowed}
        self._time_limit_s = time_limit_s

    def schemas(self) -> list[dict[str, Any]]:
        """The tools as chat models take them, in the order of the allow-list."""
        return [function_schema(tool.name, tool.description, tool.arguments) for tool in self._tools.values()]

    async def answer(self, calls: Sequence[ToolCall], case: GreyCase) -> Found:
        """Answer the calls of one reply."""
        messages: list[ToolMessage] = []
        evidence: list[Evidence] = []
        for call in calls[:MOST_CALLS]:
            with tool_span(call["name"] if call["name"] in self._tools else None) as span:
                result = await self._result(call, case)
                if isinstance(result, str):
                    refused(span)
            if isinstance(result, str):
                messages.append(_refused(call, result))
                continue
            messages.append(ToolMessage(result.model_dump_json(exclude_none=True), tool_call_id=call["id"] or ""))
            evidence += _evidence(call["name"], result)
        messages += [_refused(call, f"at most {MOST_CALLS} calls at a time") for call in calls[MOST_CALLS:]]
        unlisted = sum(call["name"] not in self._tools for call in calls)
        return Found(tuple(messages), tuple(evidence), unlisted)

    async def _result(self, call: ToolCall, case: GreyCase) -> BaseModel | str:
        """The tool's result, or in words why there is none."""
        tool = self._tools.get(call["name"])
        if tool is None:
            return f"there is no such tool; there are {', '.join(self._tools)}"
        try:
            arguments = tool.arguments.model_validate(call["args"])
        except ValidationError as error:
            return describe(error)
        try:
            async with asyncio.timeout(self._time_limit_s) as limit:
                return await tool.find(arguments, case)
        except TimeoutError:
            if not limit.expired():
                raise
            return "the tool took too long; decide without it"


def _refused(call: ToolCall, why: str) -> ToolMessage:
    return ToolMessage(f"Refused: {why}.", tool_call_id=call["id"] or "", status="error")


def _evidence(name: str, result: BaseModel) -> list[Evidence]:
    """A result's telling fields: a number of zero and what is missing say nothing."""
    telling = ((field, value) for field, value in result if isinstance(value, bool) or value)
    return [Evidence("tool", f"{name}.{field}", shown(value)) for field, value in telling]
