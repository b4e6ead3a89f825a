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

from headgate_agent_risk.external import Said
from headgate_agent_risk.tracing import refused, tool_span

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from headgate_schemas.agent import GreyCase
    from langchain_core.messages import ToolCall

    from headgate_agent_risk.external import Outside
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
    """Runs the tools on the allow-list, each call within its time, those of one reply together.

    Args:
        tools: Tools there are.
        allowed: Names of those that a model may call.
        time_limit_s: Longest time of one call.
        outside: Tools of servers outside, with an allow-list and time limits of their own.

    Raises:
        ValueError: The list names a tool there is not.
    """

    def __init__(
        self, tools: Iterable[LookUp], *, allowed: Collection[str], time_limit_s: float, outside: Outside
    ) -> None:
        known = {tool.name: tool for tool in tools}
        if missing := set(allowed) - known.keys():
            raise ValueError(f"the allow-list names no tool: {', '.join(sorted(missing))}; known: {', '.join(known)}")
        self._tools = {name: known[name] for name in allowed}
        self._time_limit_s = time_limit_s
        self._outside = outside

    def schemas(self) -> list[dict[str, Any]]:
        """The tools as chat models take them, in the order of the allow-list."""
        own = [function_schema(tool.name, tool.description, tool.arguments) for tool in self._tools.values()]
        return [*own, *self._outside.schemas()]

    async def answer(self, calls: Sequence[ToolCall], case: GreyCase) -> Found:
        """Answer the calls of one reply."""
        said = await asyncio.gather(*(self._said(call, case) for call in calls[:MOST_CALLS]), return_exceptions=True)
        messages: list[ToolMessage] = []
        evidence: list[Evidence] = []
        for call, each in zip(calls, said, strict=False):
            if isinstance(each, BaseException):
                raise each
            messages.append(_refused(call, each.text) if each.refused else _answered(call, each.text))
            evidence += each.evidence
        messages += [_refused(call, f"at most {MOST_CALLS} calls at a time") for call in calls[MOST_CALLS:]]
        unlisted = sum(call["name"] not in self._listed for call in calls)
        return Found(tuple(messages), tuple(evidence), unlisted)

    @property
    def _listed(self) -> list[str]:
        return [*self._tools, *self._outside.tools]

    async def _said(self, call: ToolCall, case: GreyCase) -> Said:
        """The tool's answer, or in words why there is none."""
        with tool_span(call["name"] if call["name"] in self._listed else None) as span:
            said = await self._find(call, case)
            if said.refused:
                refused(span)
        return said

    async def _find(self, call: ToolCall, case: GreyCase) -> Said:
        name = call["name"]
        if name in self._outside.tools:
            return await self._outside.answer(name, call["args"], case.event)
        tool = self._tools.get(name)
        if tool is None:
            return Said(f"there is no such tool; there are {', '.join(self._listed)}", refused=True)
        try:
            arguments = tool.arguments.model_validate(call["args"])
        except ValidationError as error:
            return Said(describe(error), refused=True)
        try:
            async with asyncio.timeout(self._time_limit_s) as limit:
                result = await tool.find(arguments, case)
        except TimeoutError:
            if not limit.expired():
                raise
            return Said("the tool took too long; decide without it", refused=True)
        return Said(result.model_dump_json(exclude_none=True), tuple(_evidence(name, result)))


def _answered(call: ToolCall, text: str) -> ToolMessage:
    return ToolMessage(text, tool_call_id=call["id"] or "")


def _refused(call: ToolCall, why: str) -> ToolMessage:
    return ToolMessage(f"Refused: {why}.", tool_call_id=call["id"] or "", status="error")


def _evidence(name: str, result: BaseModel) -> list[Evidence]:
    """A result's telling fields, those of its parts behind a point: a number of zero and what is missing say nothing."""
    found: list[Evidence] = []
    for field, value in result:
        if isinstance(value, BaseModel):
            found += _evidence(f"{name}.{field}", value)
        elif isinstance(value, bool) or value:
            found.append(Evidence("tool", f"{name}.{field}", shown(value)))
    return found
