"""Every operation by boto3's own client, and each answer held against the service model, field by field."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from botocore.exceptions import ClientError

from .conftest import MODEL, Server, ask, ask_tool, tool
from .service_model import Sniffer, read_stream, stream_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

ARNS = (
    "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0",
    "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0",
    "arn:aws:bedrock:eu-central-1:123456789012:provisioned-model/abc123",
    "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/my-endpoint",
)
SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"type": "string"}},
    "required": ["verdict"],
    "additionalProperties": False,
}
STRUCTURED = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(SCHEMA), "name": "verdict"}}}
CACHED = [{"text": "s" * 4_400}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
GUARDED = {"guardrailIdentifier": "gr1", "guardrailVersion": "DRAFT", "trace": "enabled"}
REQUESTS = {
    "text": ask(),
    "a forced tool": ask_tool(),
    "any tool": ask(toolConfig={"tools": [tool("a"), tool("b")], "toolChoice": {"any": {}}}),
    "structured text": ask(outputConfig={"textFormat": STRUCTURED}),
    "a cached prefix": ask(system=CACHED),
    "no room": ask(inferenceConfig={"maxTokens": 1}),
    "a stop sequence": ask(inferenceConfig={"stopSequences": ["answer"]}),
    "a guardrail that lets pass": ask(guardrailConfig=GUARDED),
    "a guardrail that blocks the input": ask("Tell me about Fraud.", guardrailConfig=GUARDED),
    "a guardrail that blocks the output": ask(guardrailConfig=GUARDED),
}
WORDS = {"a guardrail that blocks the input": ["fraud"], "a guardrail that blocks the output": ["local answer"]}


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    client = server.client()
    yield client
    client.close()


@pytest.mark.parametrize("name", REQUESTS)
def test_each_field_of_converse_is_one_the_service_has(server: Server, client: Any, name: str) -> None:
    sniffer = Sniffer(client)
    server.faults(guardrail_words=WORDS.get(name, []))
    answer = client.converse(**REQUESTS[name])
    assert sniffer.problems() == []
    assert answer["ResponseMetadata"]["RequestId"]
    assert ("trace" in answer) == (name in WORDS)


@pytest.mark.parametrize("name", REQUESTS)
def test_each_event_of_converse_stream_is_one_the_service_has(server: Server, client: Any, name: str) -> None:
    server.faults(guardrail_words=WORDS.get(name, []))
    request = {key: value for key, value in REQUESTS[name].items() if key != "modelId"}
    frames = read_stream(f"{server.url}/model/{MODEL}/converse-stream", request)
    kinds = [headers[":event-type"] for headers, _ in frames]
    whole = client.converse(**REQUESTS[name])

    assert stream_problems(frames, client.meta.service_model.operation_model("ConverseStream")) == []
    assert (kinds[0], kinds[-2:]) == ("messageStart", ["messageStop", "metadata"])
    assert frames[-2][1]["stopReason"] == whole["stopReason"]
    assert frames[-1][1].get("trace") == whole.get("trace")
    assert frames[-1][1]["usage"]["outputTokens"] == whole["usage"]["outputTokens"]


@pytest.mark.parametrize("model_id", ARNS)
def test_every_kind_of_arn_is_a_model_for_every_operation(server: Server, client: Any, model_id: str) -> None:
    client.converse(**(ask() | {"modelId": model_id}))
    list(client.converse_stream(**(ask() | {"modelId": model_id}))["stream"])
    client.count_tokens(modelId=model_id, input={"converse": {"messages": ask()["messages"]}})
    assert list(server.stats()["by_model"]) == [model_id]


def test_count_tokens_holds_the_service_model_and_throttles(server: Server, client: Any) -> None:
    sniffer = Sniffer(client)
    counted = {"converse": {"messages": ask()["messages"]}}
    assert client.count_tokens(modelId=MODEL, input=counted)["inputTokens"] == 2
    assert sniffer.problems() == []
    server.faults(throttle_rate=1)
    with pytest.raises(client.exceptions.ThrottlingException):
        client.count_tokens(modelId=MODEL, input=counted)


@pytest.mark.parametrize(
    ("text", "action", "matches"),
    [
        ("Buy bread.", "NONE", []),
        ("FRAUD, and gift cards; fraud.", "GUARDRAIL_INTERVENED", ["FRAUD", "gift cards", "fraud"]),
        ("defrauded", "NONE", []),
    ],
)
def test_apply_guardrail_finds_the_words(
    server: Server, client: Any, text: str, action: str, matches: list[str]
) -> None:
    sniffer = Sniffer(client)
    server.faults(guardrail_words=["fraud", "gift cards"])
    content = [{"text": {"text": text, "qualifiers": ["guard_content"]}}]
    answer = client.apply_guardrail(
        guardrailIdentifier="arn:aws:bedrock:eu-central-1:123456789012:guardrail/gr1",
        guardrailVersion="1",
        source="INPUT",
        content=content,
    )
    assert sniffer.problems() == []
    assert answer["action"] == action
    assert answer["usage"]["wordPolicyUnits"] == 1
    found = [word["match"] for each in answer["assessments"] for word in each["wordPolicy"]["customWords"]]
    assert found == matches
    assert bool(answer["outputs"]) == bool(matches)


def test_apply_guardrail_refuses_what_the_service_refuses(server: Server) -> None:
    url, headers = f"{server.url}/guardrail/gr1/version/1/apply", {"authorization": "Bearer x"}
    for body in (b"{", b"{}", b'{"source": "NOWHERE", "content": [{}]}'):
        answer = httpx.post(url, content=body, headers=headers)
        assert (answer.status_code, answer.headers["x-amzn-errortype"][:19]) == (400, "ValidationException")


def test_a_guardrail_blocks_input_before_a_model_is_paid(server: Server, client: Any) -> None:
    server.faults(guardrail_words=["fraud"])
    answer = client.converse(**ask("Tell me about Fraud.", guardrailConfig=GUARDED))
    assert answer["stopReason"] == "guardrail_intervened"
    assert answer["usage"]["totalTokens"] == 0
    assert answer["trace"]["guardrail"]["inputAssessment"]["gr1"]["wordPolicy"]["customWords"][0]["match"] == "Fraud"
    assert (server.stats()["answers"], server.stats()["blocked"]) == (0, 1)


def test_a_guardrail_looks_at_marked_content_alone_and_never_at_tools(server: Server, client: Any) -> None:
    server.faults(guardrail_words=["fraud", "example"])
    marked = ask("fraud", guardrailConfig=GUARDED)
    marked["messages"][0]["content"].append({"guardContent": {"text": {"text": "harmless"}}})
    assert client.converse(**marked)["stopReason"] == "end_turn"
    assert client.converse(**ask_tool(guardrailConfig=GUARDED))["stopReason"] == "tool_use"
    assert client.converse(**ask("fraud"))["stopReason"] == "end_turn"
    assert server.stats()["answers"] == 3


def test_a_call_of_an_operation_that_is_not_there_says_so(client: Any) -> None:
    with pytest.raises(ClientError, match="no operation of this endpoint") as caught:
        client.invoke_model(modelId=MODEL, body=b"{}")
    error = caught.value.response
    assert (error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]) == (404, "UnknownOperationException")
