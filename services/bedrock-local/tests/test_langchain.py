"""LangChain's own chat model for Bedrock, pointed at the endpoint."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from pydantic import BaseModel

from .conftest import MODEL, Server

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage


class Verdict(BaseModel):
    """Record the verdict."""

    verdict: str
    score: float


@pytest.fixture
def chat(server: Server) -> ChatBedrockConverse:
    return ChatBedrockConverse(model=MODEL, client=server.client(), provider="amazon", max_tokens=100)


def test_invoke_gives_text_usage_and_stop_reason(chat: ChatBedrockConverse) -> None:
    answer: Any = chat.invoke("Hello")
    assert answer.text.startswith("Local answer")
    assert answer.usage_metadata["total_tokens"] == answer.usage_metadata["input_tokens"] + 12
    assert answer.response_metadata["stopReason"] == "end_turn"


def test_a_stream_adds_up_to_the_answer(chat: ChatBedrockConverse) -> None:
    chunks = [chunk for chunk in chat.stream("Hello") if isinstance(chunk, AIMessageChunk)]
    whole: Any = reduce(lambda one, other: one + other, chunks)
    assert len(chunks) > 3
    assert whole.text == chat.invoke("Hello").text
    assert whole.usage_metadata["output_tokens"] == 12


def test_bound_tools_are_called_and_their_results_taken(server: Server, chat: ChatBedrockConverse) -> None:
    forced = chat.bind_tools([Verdict], tool_choice="Verdict")
    asked = [HumanMessage("Judge.")]
    called: AIMessage = forced.invoke(asked)
    [call] = called.tool_calls
    assert Verdict.model_validate(call["args"]).verdict == "example"
    free = chat.bind_tools([Verdict])
    assert free.invoke([*asked, called, ToolMessage("noted", tool_call_id=call["id"])]).tool_calls == []
    assert server.stats()["by_stop_reason"] == {"tool_use": 1, "end_turn": 1}


def test_a_streamed_tool_call_is_whole_at_the_end(chat: ChatBedrockConverse) -> None:
    chunks = chat.bind_tools([Verdict], tool_choice="any").stream("Judge.")
    whole: Any = reduce(lambda one, other: one + other, chunks)
    assert [call["name"] for call in whole.tool_calls] == ["Verdict"]
    assert Verdict.model_validate(whole.tool_calls[0]["args"]).score == 0


def test_structured_output_is_an_instance(chat: ChatBedrockConverse) -> None:
    assert chat.with_structured_output(Verdict).invoke("Judge.") == Verdict(verdict="example", score=0)
