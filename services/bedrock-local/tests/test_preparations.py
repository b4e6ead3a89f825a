"""A model that calls other tools before it answers, where a package says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from .conftest import ask, tool

if TYPE_CHECKING:
    from .conftest import Server

SEVERAL = {"any": {}}
pytestmark = pytest.mark.usefixtures("server")  # knobs as at the start


def request(event: dict[str, Any], choice: dict[str, Any] | None = None) -> dict[str, Any]:
    tools = [tool("judge"), tool("look_up"), tool("count")]
    return ask(f"<event>{json.dumps(event)}</event>", toolConfig={"tools": tools, "toolChoice": choice or SEVERAL})


def uses(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [block["toolUse"] for block in answer["output"]["message"]["content"]]


def told(request: dict[str, Any], answer: dict[str, Any], *results: dict[str, Any]) -> dict[str, Any]:
    """The request after an answer's tools were run."""
    called = zip(uses(answer), results, strict=True)
    content = [{"toolResult": {"toolUseId": use["toolUseId"], **result}} for use, result in called]
    messages = [*request["messages"], answer["output"]["message"], {"role": "user", "content": content}]
    return {**request, "messages": messages}


def test_the_tools_wanted_first_are_called_at_once_and_their_results_reach_the_policy(boto: Any) -> None:
    first = request({"size": 3, "prepare": ["look_up", "count"]})
    answer = boto.converse(**first)
    assert [(use["name"], use["input"]) for use in uses(answer)] == [("look_up", {"size": 3}), ("count", {"size": 3})]
    assert len({use["toolUseId"] for use in uses(answer)}) == 2
    assert answer["stopReason"] == "tool_use"

    after = boto.converse(
        **told(first, answer, {"content": [{"text": '{"found": 1}'}]}, {"content": [{"json": {"n": 2}}]})
    )
    assert [use["name"] for use in uses(after)] == ["judge"]
    assert uses(after)[0]["input"] == {"verdict": {"look_up": {"found": 1}, "count": {"n": 2}}}


def test_a_refused_call_is_not_repeated_and_gives_no_result(boto: Any) -> None:
    first = request({"size": 3, "prepare": ["look_up"]})
    refused = {"content": [{"text": "no"}], "status": "error"}
    after = boto.converse(**told(first, boto.converse(**first), refused))
    assert uses(after)[0]["input"] == {"verdict": {"look_up": None}}


def test_only_tools_of_the_request_are_called(boto: Any) -> None:
    answer = boto.converse(**request({"size": 3, "prepare": ["nowhere"]}))
    assert [use["name"] for use in uses(answer)] == ["judge"]


def test_a_forced_tool_answers_at_once(server: Server, boto: Any) -> None:
    answer = boto.converse(**request({"size": 3, "prepare": ["look_up"]}, {"tool": {"name": "judge"}}))
    assert [use["name"] for use in uses(answer)] == ["judge"]
    assert server.stats()["by_source"] == {"policy": 1}


def test_a_failing_preparation_is_the_models_fault_and_says_so(boto: Any) -> None:
    with pytest.raises(ClientError, match="ValueError: boom"):
        boto.converse(**request({"size": 3, "prepare": "boom"}))
