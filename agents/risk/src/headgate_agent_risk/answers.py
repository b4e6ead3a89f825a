"""Reading a model's reply: what can be taken, what can be repaired, and what is of no use."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from headgate_schemas.agent import Usage
from pydantic import ValidationError

from headgate_agent_risk.tools import TOOL_NAME, RecordDecision
from headgate_agent_risk.untrusted import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import AIMessage, ToolCall

_PROBLEM_CHARS = 500
_STOPPED: Mapping[str, str] = MappingProxyType(
    {
        "max_tokens": "truncated",
        "length": "truncated",
        "model_context_window_exceeded": "truncated",
        "guardrail_intervened": "filtered",
        "content_filtered": "filtered",
        "content_filter": "filtered",
        "refusal": "refused",
    }
)
"""Fallback reason by the provider's stop reason; any other reason says nothing about the reply's worth."""


class UselessAnswerError(Exception):
    """Asking again would not help; ``reason`` is the code for the record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidAnswerError(Exception):
    """The model tried and failed; ``problem`` says how, in words for the model."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def read_answer(reply: AIMessage, *, final: bool) -> RecordDecision | list[ToolCall]:
    """Take the decision, or the calls of other tools before it, out of a reply; text and reasoning are left aside.

    Args:
        reply: The model's reply.
        final: Only the decision is wanted: no other tool may be called any more.

    Raises:
        UselessAnswerError: Cut off, filtered, refused or empty.
        InvalidAnswerError: No single valid call of the tool that decides.
    """
    stopped = _STOPPED.get(stop_reason(reply))
    if stopped:
        raise UselessAnswerError(stopped)
    attempts = len(reply.tool_calls) + len(reply.invalid_tool_calls)
    if attempts == 0:
        # A tool was forced: words instead of it are a refusal, however they are put.
        raise UselessAnswerError("refused" if reply.text.strip() else "invalid_answer")
    if not final and not reply.invalid_tool_calls and all(call["name"] != TOOL_NAME for call in reply.tool_calls):
        return reply.tool_calls
    if attempts > 1:
        raise InvalidAnswerError(f"{attempts} calls were made where one is wanted")
    if reply.invalid_tool_calls:
        raise InvalidAnswerError("the arguments were not a JSON object")
    call = reply.tool_calls[0]
    if call["name"] != TOOL_NAME:
        raise InvalidAnswerError("no other tool may be called now")
    try:
        return RecordDecision.model_validate(call["args"])
    except ValidationError as error:
        raise InvalidAnswerError(describe(error)) from error


def stop_reason(reply: AIMessage) -> str:
    """The provider's stop reason, under whichever name its LangChain integration gives it; empty where there is none."""
    metadata: dict[str, Any] = reply.response_metadata
    for name in ("stopReason", "stop_reason", "finish_reason"):
        if metadata.get(name):
            return str(metadata[name])
    return ""


def describe(error: ValidationError) -> str:
    """Say what is wrong, field by field, without the values."""
    problems = [
        f"{'.'.join(str(part) for part in detail['loc']) or 'arguments'}: {detail['msg']}"
        for detail in error.errors(include_input=False, include_url=False)
    ]
    return clean("; ".join(problems))[:_PROBLEM_CHARS]


def usage_of(reply: AIMessage) -> Usage:
    """What one reply used, as the provider counted it; zero tokens where it did not say."""
    counted = reply.usage_metadata
    if counted is None:
        return Usage(calls=1)
    return Usage(calls=1, input_tokens=counted["input_tokens"], output_tokens=counted["output_tokens"])
