"""A model's answer as a forced call of one tool: what can be taken, what can be repaired, and what is of no use."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from headgate_schemas.agent import ModelAnswerError, Usage
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import BaseModel, ValidationError

from headgate_agent_toolkit.untrusted import clean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.runnables import Runnable

AnswerT = TypeVar("AnswerT", bound=BaseModel)

_PROBLEM_CHARS = 500
_REPAIR = "That call was not valid: {problem}. Call {tool} exactly once, with all fields as its schema says."
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


class AnswerTool(Generic[AnswerT]):
    """The tool a model has to call to answer. It records the answer and has no other effect.

    Args:
        name: Its name, which no other agent's tool has.
        arguments: Its arguments; their class's docstring tells the model what it is for.
    """

    def __init__(self, name: str, arguments: type[AnswerT]) -> None:
        self.name = name
        self._arguments = arguments

    def schema(self) -> dict[str, Any]:
        """The tool as chat models take it."""
        return function_schema(self.name, str(self._arguments.__doc__), self._arguments)

    def read(self, reply: AIMessage) -> AnswerT:
        """Take the answer out of a reply; text and reasoning beside it are left aside.

        Raises:
            UselessAnswerError: Cut off, filtered, refused or empty.
            InvalidAnswerError: No single valid call of this tool.
        """
        check_worth(reply)
        attempts = len(reply.tool_calls) + len(reply.invalid_tool_calls)
        if attempts > 1:
            raise InvalidAnswerError(f"{attempts} calls were made where one is wanted")
        if reply.invalid_tool_calls:
            raise InvalidAnswerError("the arguments were not a JSON object")
        call = reply.tool_calls[0]
        if call["name"] != self.name:
            raise InvalidAnswerError("no other tool may be called now")
        try:
            return self._arguments.model_validate(call["args"])
        except ValidationError as error:
            raise InvalidAnswerError(describe(error)) from error

    def repair(self, reply: AIMessage, problem: str) -> list[ToolMessage]:
        """Answer every call of a reply, as providers require, with what was wrong."""
        calls = [*reply.tool_calls, *reply.invalid_tool_calls]
        request = _REPAIR.format(problem=problem, tool=self.name)
        return [ToolMessage(request, tool_call_id=call["id"] or "", status="error") for call in calls]


class Answered(NamedTuple, Generic[AnswerT]):
    """An answer and what it took.

    Attributes:
        answer: Valid, not yet trusted.
        usage: Of all calls.
    """

    answer: AnswerT
    usage: Usage


async def ask(
    model: Runnable[LanguageModelInput, AIMessage],
    messages: Sequence[BaseMessage],
    tool: AnswerTool[AnswerT],
    prompt_hash: str,
) -> Answered[AnswerT]:
    """Ask a model that is forced to call a tool, and once more where the call is not valid.

    A second call that the provider does not answer leaves a first one that is paid for and of no use, so that nobody
    pays for it again by repeating both.

    Args:
        model: Bound to the tool.
        messages: The prompt.
        tool: The tool.
        prompt_hash: SHA-256 of the prompt, for the record of an answer that is of no use.

    Raises:
        ModelAnswerError: The model answered and the answer is of no use.
        Exception: Whatever the model raised on the first call.
    """
    reply = await model.ainvoke(list(messages))
    usage = usage_of(reply)
    try:
        return Answered(tool.read(reply), usage)
    except UselessAnswerError as error:
        raise ModelAnswerError(error.reason, usage, prompt_hash) from error
    except InvalidAnswerError as error:
        problem = error.problem
    try:
        repaired = await model.ainvoke([*messages, reply, *tool.repair(reply, problem)])
    except Exception as error:
        raise ModelAnswerError("invalid_answer", usage, prompt_hash) from error
    usage += usage_of(repaired)
    try:
        return Answered(tool.read(repaired), usage)
    except UselessAnswerError as error:
        raise ModelAnswerError(error.reason, usage, prompt_hash) from error
    except InvalidAnswerError as error:
        raise ModelAnswerError("invalid_answer", usage, prompt_hash) from error


def check_worth(reply: AIMessage) -> None:
    """Check that a reply is worth reading: it ended by itself and calls a tool.

    Raises:
        UselessAnswerError: Cut off, filtered, refused or empty.
    """
    stopped = _STOPPED.get(stop_reason(reply))
    if stopped:
        raise UselessAnswerError(stopped)
    if not reply.tool_calls and not reply.invalid_tool_calls:
        # A tool was forced: words instead of it are a refusal, however they are put.
        raise UselessAnswerError("refused" if reply.text.strip() else "invalid_answer")


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


def function_schema(name: str, description: str, arguments: type[BaseModel]) -> dict[str, Any]:
    """A tool as an OpenAI function, which every LangChain model converts to its own form."""
    parameters = arguments.model_json_schema()
    for needless in ("title", "description"):
        parameters.pop(needless, None)
    for field in parameters["properties"].values():
        field.pop("title", None)
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
