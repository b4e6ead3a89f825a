"""A forced answer: taken, repaired once, or of no use."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, cast

import pytest
from headgate_agent_toolkit.answers import AnswerTool, ask
from headgate_schemas.agent import ModelAnswerError, Usage
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, ConfigDict, Field


class Guess(BaseModel):
    """Record a guess."""

    model_config = ConfigDict(extra="forbid")

    share: Annotated[float, Field(ge=0, le=1, description="From 0 to 1.")]


TOOL = AnswerTool("record_guess", Guess)
PROMPT = [HumanMessage("Guess.")]


class Scripted:
    """A bound model that answers with what it was given, in turn."""

    def __init__(self, *replies: AIMessage | Exception) -> None:
        self.replies = list(replies)
        self.asked: list[list[Any]] = []

    async def ainvoke(self, messages: list[Any]) -> AIMessage:
        self.asked.append(messages)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def call(share: Any, *, tool: str = "record_guess", times: int = 1, stop: str = "tool_use") -> AIMessage:
    return AIMessage(
        content="",
        tool_calls=[{"name": tool, "args": {"share": share}, "id": f"call-{n}"} for n in range(times)],
        usage_metadata={"input_tokens": 100, "output_tokens": 10, "total_tokens": 110},
        response_metadata={"stopReason": stop},
    )


def answered(*replies: AIMessage | Exception) -> tuple[Any, Scripted]:
    model = Scripted(*replies)
    return asyncio.run(ask(cast("Any", model), PROMPT, TOOL, "hash")), model


def useless(*replies: AIMessage | Exception) -> ModelAnswerError:
    with pytest.raises(ModelAnswerError) as caught:
        answered(*replies)
    assert caught.value.prompt_hash == "hash"
    return caught.value


def test_the_schema_is_the_class_without_what_a_model_does_not_need() -> None:
    assert TOOL.schema()["function"] == {
        "name": "record_guess",
        "description": "Record a guess.",
        "parameters": {
            "additionalProperties": False,
            "properties": {"share": {"description": "From 0 to 1.", "maximum": 1, "minimum": 0, "type": "number"}},
            "required": ["share"],
            "type": "object",
        },
    }


def test_a_valid_call_is_the_answer() -> None:
    (answer, usage), model = answered(call(0.4))
    assert (answer.share, usage, len(model.asked)) == (0.4, Usage(1, 100, 10), 1)


@pytest.mark.parametrize("wrong", [call(7), call(0.1, tool="other"), call(0.1, times=2)])
def test_an_invalid_call_is_repaired_once_by_saying_what_was_wrong(wrong: AIMessage) -> None:
    (answer, usage), model = answered(wrong, call(0.4))
    assert (answer.share, usage) == (0.4, Usage(2, 200, 20))
    told = [message for message in model.asked[1] if isinstance(message, ToolMessage)]
    assert [message.tool_call_id for message in told] == [each["id"] for each in wrong.tool_calls]
    assert all(message.status == "error" and "record_guess" in str(message.content) for message in told)


def test_a_second_invalid_call_is_given_up_with_what_both_cost() -> None:
    error = useless(call(7), call(-1))
    assert (error.reason, error.usage.calls) == ("invalid_answer", 2)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (AIMessage("I would rather not."), "refused"),
        (AIMessage(" "), "invalid_answer"),
        (call(0.4, stop="max_tokens"), "truncated"),
        (call(0.4, stop="guardrail_intervened"), "filtered"),
    ],
)
def test_what_asking_again_would_not_mend_is_given_up_at_once(reply: AIMessage, reason: str) -> None:
    assert useless(reply).reason == reason
    assert useless(call(7), reply).reason == reason


def test_a_providers_error_passes_on_the_first_call_and_loses_nothing_on_the_second() -> None:
    with pytest.raises(ConnectionError):
        answered(ConnectionError("throttled"))
    error = useless(call(7), ConnectionError("throttled"))
    assert (error.reason, error.usage) == ("invalid_answer", Usage(1, 100, 10))
