from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import jsonschema
import pytest
from botocore.exceptions import ClientError
from urllib3.exceptions import ProtocolError

from .conftest import MODEL, Server, ask, ask_tool, tool

if TYPE_CHECKING:
    from collections.abc import Callable

ARN = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3"


def rejected(call: Callable[..., Any], **request: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"]


def test_a_forced_tool_is_used_and_counted(server: Server, boto: Any) -> None:
    answer = boto.converse(**ask_tool("x" * 400))

    [block] = answer["output"]["message"]["content"]
    assert answer["stopReason"] == "tool_use"
    assert block["toolUse"]["name"] == "record"
    assert block["toolUse"]["input"] == {"verdict": "example"}
    assert answer["usage"]["inputTokens"] > 100
    assert answer["usage"]["totalTokens"] == answer["usage"]["inputTokens"] + answer["usage"]["outputTokens"]
    assert server.stats()["by_source"] == {"schema": 1}


@pytest.mark.parametrize("fence", ['<event nonce="7">{}</event nonce="7">', "<event id='7'>{}</event>"])
def test_the_policy_registered_for_the_tool_answers_on_the_fenced_event(server: Server, boto: Any, fence: str) -> None:
    text = "Judge this: " + fence.replace("{}", json.dumps({"size": 11, "note": "</event> {"}))
    answer = boto.converse(**ask_tool(text, name="judge"))

    [block] = answer["output"]["message"]["content"]
    assert block["toolUse"]["input"] == {"verdict": "big", "fields": ["verdict"]}
    assert server.stats()["by_source"] == {"policy": 1}


def test_the_policy_still_finds_the_event_when_a_repair_is_asked_for(server: Server, boto: Any) -> None:
    request = ask_tool('<event n="1">{"size": 1}</event n="1">', name="judge")
    first = boto.converse(**request)["output"]["message"]
    complaint = {"toolUseId": first["content"][0]["toolUse"]["toolUseId"], "content": [{"text": "verdict is wrong"}]}
    request["messages"] += [first, {"role": "user", "content": [{"toolResult": complaint}]}]

    assert boto.converse(**request)["output"]["message"]["content"][0]["toolUse"]["input"]["verdict"] == "small"
    assert server.stats()["by_source"] == {"policy": 2}


def test_a_failing_policy_is_the_models_fault_and_says_so(server: Server, boto: Any) -> None:
    status, code, message = rejected(boto.converse, **ask_tool('<event>{"boom": true}</event>', name="judge"))
    assert (status, code) == (500, "InternalServerException")
    assert "ValueError: boom" in message
    assert server.stats()["answers"] == 0


def test_auto_choice_prefers_a_known_tool_and_answers_in_words_after_another_ones_result(
    server: Server, boto: Any
) -> None:
    tools = {"tools": [tool("look_up"), tool("judge")]}
    chosen = boto.converse(**ask('<event>{"size": 50}</event>', toolConfig=tools))["output"]["message"]
    assert chosen["content"][0]["toolUse"]["name"] == "judge"

    request = ask("Hello", toolConfig={"tools": [tool("look_up")], "toolChoice": {"auto": {}}})
    used = boto.converse(**request)["output"]["message"]
    result = {"toolUseId": used["content"][0]["toolUse"]["toolUseId"], "content": [{"json": {"found": 1}}]}
    request["messages"] += [used, {"role": "user", "content": [{"toolResult": result}]}]
    assert boto.converse(**request)["stopReason"] == "end_turn"
    assert server.stats()["by_stop_reason"] == {"tool_use": 2, "end_turn": 1}


def test_structured_text_conforms_to_its_schema(server: Server, boto: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"minimum": {"type": "integer"}, "when": {"type": "string", "format": "date-time"}},
        "required": ["minimum", "when"],
        "additionalProperties": False,
    }
    shape = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(schema), "name": "answer"}}}
    answer = boto.converse(**ask(outputConfig={"textFormat": shape}))

    jsonschema.validate(json.loads(answer["output"]["message"]["content"][0]["text"]), schema)
    assert answer["stopReason"] == "end_turn"
    assert server.stats()["answers"] == 1


def test_max_tokens_cuts_text_and_tool_input(server: Server, boto: Any) -> None:
    text = boto.converse(**ask(inferenceConfig={"maxTokens": 3}))
    assert text["stopReason"] == "max_tokens"
    assert len(text["output"]["message"]["content"][0]["text"]) == 12
    assert text["usage"]["outputTokens"] == 3

    used = boto.converse(**ask_tool(inferenceConfig={"maxTokens": 2}))
    assert used["stopReason"] == "max_tokens"
    assert used["output"]["message"]["content"][0]["toolUse"]["input"] == {}
    assert used["usage"]["outputTokens"] <= 2
    assert server.stats()["by_stop_reason"] == {"max_tokens": 2}


def test_a_stop_sequence_ends_the_answer(server: Server, boto: Any) -> None:
    answer = boto.converse(**ask(inferenceConfig={"stopSequences": [" answer"]}))
    assert answer["stopReason"] == "stop_sequence"
    assert answer["output"]["message"]["content"] == [{"text": "Local"}]
    assert server.stats()["answers"] == 1


@pytest.mark.parametrize("model_id", [ARN, "anthropic.claude-sonnet-4-5-20250929-v1:0", "my_imported.model-1"])
def test_model_ids_and_arns_reach_the_endpoint_whole(server: Server, boto: Any, model_id: str) -> None:
    boto.converse(**(ask() | {"modelId": model_id}))
    assert list(server.stats()["by_model"]) == [model_id]


def test_a_prefix_before_a_cache_point_is_written_then_read(server: Server, boto: Any) -> None:
    system = [{"text": "s" * 4_400}, {"cachePoint": {"type": "default"}}]
    first = boto.converse(**ask("one", system=system))["usage"]
    second = boto.converse(**ask("two, a longer one", system=system))["usage"]
    short = boto.converse(**ask(system=[{"text": "short"}, {"cachePoint": {"type": "default"}}]))["usage"]

    assert (first["cacheWriteInputTokens"], first["cacheReadInputTokens"]) == (1_100, 0)
    assert (second["cacheWriteInputTokens"], second["cacheReadInputTokens"]) == (0, 1_100)
    assert (second["inputTokens"], second["totalTokens"] - second["outputTokens"]) == (5, 1_105)
    assert (short["cacheWriteInputTokens"], short["cacheReadInputTokens"]) == (0, 0)
    assert server.stats()["cache_read_tokens"] == 1_100


def test_the_shortest_cached_prefix_depends_on_the_model(server: Server, boto: Any) -> None:
    request = ask(system=[{"text": "s" * 4_400}, {"cachePoint": {"type": "default"}}])
    usage = boto.converse(**(request | {"modelId": "anthropic.claude-haiku-4-5-20251001-v1:0"}))["usage"]
    assert usage["cacheWriteInputTokens"] == 0
    assert server.stats()["cache_write_tokens"] == 0


def test_count_tokens_counts_what_converse_counts(server: Server, boto: Any) -> None:
    request = ask_tool("y" * 500, system=[{"text": "You decide."}])
    counted = {key: request[key] for key in ("messages", "system", "toolConfig")}
    tokens = boto.count_tokens(modelId=MODEL, input={"converse": counted})["inputTokens"]
    assert tokens == boto.converse(**request)["usage"]["inputTokens"]
    assert server.stats()["calls"] == 1


def test_a_stream_parsed_by_botocore_is_the_same_answer(server: Server, boto: Any) -> None:
    request = ask_tool('<event>{"size": 11}</event>', name="judge")
    events = list(boto.converse_stream(**request)["stream"])
    kinds = [next(iter(event)) for event in events]
    pieces = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    whole = boto.converse(**request)

    assert kinds[:2] == ["messageStart", "contentBlockStart"]
    assert kinds[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    assert len(pieces) > 1
    used = whole["output"]["message"]["content"][0]["toolUse"]
    assert json.loads("".join(piece["toolUse"]["input"] for piece in pieces)) == used["input"]
    assert events[1]["contentBlockStart"]["start"]["toolUse"]["toolUseId"] == used["toolUseId"]
    assert events[-1]["metadata"]["usage"] == whole["usage"]
    assert server.stats()["repeated_answers"] == 1


def test_a_streamed_text_keeps_its_characters(server: Server, boto: Any) -> None:
    streamed = boto.converse_stream(**ask("Grüße"))["stream"]
    text = "".join(event["contentBlockDelta"]["delta"]["text"] for event in streamed if "contentBlockDelta" in event)
    assert text == boto.converse(**ask("Grüße"))["output"]["message"]["content"][0]["text"]
    assert server.stats()["answers"] == 2


USER = {"role": "user", "content": [{"text": "a"}]}
ASSISTANT = {"role": "assistant", "content": [{"text": "b"}]}
INVALID = {
    "assistant first": {"messages": [ASSISTANT]},
    "same role twice": {"messages": [USER, USER]},
    "blank text": {"messages": [{"role": "user", "content": [{"text": " "}]}]},
    "unknown tool chosen": {"toolConfig": {"tools": [tool("a")], "toolChoice": {"tool": {"name": "b"}}}},
    "tool twice": {"toolConfig": {"tools": [tool("a"), tool("a")]}},
    "bad tool name": {"toolConfig": {"tools": [tool("no spaces")]}},
    "temperature": {"inferenceConfig": {"temperature": 1.5}},
    "result without use": {
        "messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "x", "content": [{"text": "y"}]}}]}],
        "toolConfig": {"tools": [tool("a")]},
    },
    "five cache points": {"system": [{"text": "a"}] + 5 * [{"cachePoint": {"type": "default"}}]},
    "strict tool with a bound": {
        "toolConfig": {"tools": [tool("a", {"verdict": {"type": "integer", "minimum": 1}}, strict=True)]}
    },
    "forced tool on gpt-oss": {
        "modelId": "openai.gpt-oss-120b-1:0",
        "toolConfig": {"tools": [tool("a")], "toolChoice": {"any": {}}},
    },
}


@pytest.mark.parametrize("change", INVALID.values(), ids=INVALID.keys())
def test_an_invalid_request_is_a_400(server: Server, boto: Any, change: dict[str, Any]) -> None:
    status, code, message = rejected(boto.converse, **(ask() | change))
    assert (status, code) == (400, "ValidationException")
    assert message
    assert server.stats()["by_error"] == {"ValidationException": 1}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "number", "maximum": 1}}, "additionalProperties": False},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}, "additionalProperties": False},
        ["no object"],
    ],
)
def test_output_config_takes_a_part_of_json_schema_only(server: Server, boto: Any, schema: Any) -> None:
    shape = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(schema)}}}
    status, code, _ = rejected(boto.converse, **ask(outputConfig={"textFormat": shape}))
    assert (status, code) == (400, "ValidationException")
    assert server.stats()["answers"] == 0


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "MissingAuthenticationTokenException"),
        ("Basic abc", "IncompleteSignatureException"),
        (
            "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature="
            + "0" * 64,
            "InvalidSignatureException",
        ),
    ],
)
def test_a_call_without_credentials_for_bedrock_is_a_403(server: Server, header: str | None, code: str) -> None:
    headers = {} if header is None else {"authorization": header}
    answer = httpx.post(f"{server.url}/model/{MODEL}/converse", json={"messages": [USER]}, headers=headers)
    assert answer.status_code == 403
    assert answer.headers["x-amzn-errortype"].startswith(f"{code}:")


def test_a_bearer_token_is_taken(server: Server) -> None:
    answer = httpx.post(
        f"{server.url}/model/{MODEL}/converse", json={"messages": [USER]}, headers={"authorization": "Bearer x"}
    )
    assert answer.json()["stopReason"] == "end_turn"


def test_a_body_that_is_no_json_is_a_400(server: Server) -> None:
    url, headers = f"{server.url}/model/{MODEL}/converse", {"authorization": "Bearer x"}
    assert httpx.post(url, content=b"{", headers=headers).status_code == 400
    assert httpx.post(url, json=[], headers=headers).status_code == 400
    assert httpx.post(f"{server.url}/model/a%20b/converse", json={}, headers=headers).status_code == 400


def test_a_stream_cut_in_the_middle_is_noticed(server: Server, boto: Any) -> None:
    server.faults(drop_rate=1)
    stream = boto.converse_stream(**ask_tool())["stream"]
    events: list[dict[str, Any]] = []
    with pytest.raises(ProtocolError):
        events.extend(stream)
    assert not any("messageStop" in event for event in events)
    assert server.stats()["answers"] == 1
