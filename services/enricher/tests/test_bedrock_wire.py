"""What is written by hand for speed, beside the libraries that would write it slowly."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ParamValidationError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from headgate_enricher.bedrock.conversation import plain_turns
from headgate_enricher.bedrock.model import ModelFactory
from headgate_enricher.bedrock.request import OPERATION, PROTOCOL, RequestWriter
from headgate_enricher.bedrock.retries import perhaps_paid
from headgate_enricher.bedrock.settings import BedrockSettings, ModelSettings
from headgate_enricher.bedrock.sigv4 import SignatureV4
from headgate_enricher.bedrock.transport import read_plain
from hypothesis import given
from hypothesis import strategies as st
from langchain_aws.chat_models.bedrock_converse import _messages_to_bedrock
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

REGION = "eu-central-1"
MODEL = "us.amazon.nova-micro-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
TOOLS = {"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object", "properties": {}}}}}]}
CALL = {"type": "tool_use", "id": "c1", "name": "look_up", "input": {"some_key": 1}}


def assistant(*content: dict[str, Any], calls: Sequence[str] = ("c1",)) -> AIMessage:
    return AIMessage(
        content=list(content),
        tool_calls=[{"id": each, "name": "look_up", "args": {"some_key": [each]}} for each in calls],
        response_metadata={"model_provider": "bedrock_converse", "model_name": MODEL},
    )


SYSTEM, ASKED, RESULT = SystemMessage("You judge. "), HumanMessage(" One event.\n"), ToolMessage("7", tool_call_id="c1")
PLAIN: list[list[BaseMessage]] = [
    [ASKED],
    [SYSTEM, ASKED],
    [SYSTEM, ASKED, assistant(CALL), RESULT],
    [SYSTEM, ASKED, assistant({"type": "text", "text": "I look. "}, CALL), RESULT, assistant(CALL), RESULT],
    [ASKED, assistant(CALL, {**CALL, "id": "c2"}, calls=("c1", "c2")), RESULT, ToolMessage("8", tool_call_id="c2")],
    [ASKED, assistant(CALL), ToolMessage("no", tool_call_id="c1", status="error")],
]
NOT_PLAIN: list[list[BaseMessage]] = [
    [],
    [ASKED, ASKED],
    [SYSTEM, SystemMessage("Be brief."), ASKED],
    [HumanMessage(" ")],
    [HumanMessage([{"type": "text", "text": "x"}])],
    [ASKED, assistant(CALL)],
    [ASKED, AIMessage("words"), ASKED],
    [ASKED, assistant(CALL, calls=("other",)), RESULT],
    [ASKED, assistant(CALL, calls=("c1", "c2")), RESULT],
    [ASKED, assistant({"type": "reasoning_content", "reasoning_content": {"text": "hm"}}, CALL), RESULT],
    [ASKED, assistant(CALL), ToolMessage("", tool_call_id="c1")],
]


@pytest.mark.parametrize("messages", PLAIN)
def test_a_plain_conversation_is_written_as_langchain_writes_it(messages: list[BaseMessage]) -> None:
    assert plain_turns(messages) == _messages_to_bedrock(list(messages), None, model_id=MODEL)


@pytest.mark.parametrize("messages", NOT_PLAIN)
def test_any_other_conversation_is_left_to_langchain(messages: list[BaseMessage]) -> None:
    assert plain_turns(messages) is None


def botocore_writes(parameters: dict[str, Any]) -> dict[str, Any]:
    operation = SERVICE.operation_model(OPERATION)
    wire: dict[str, Any] = create_serializer(PROTOCOL).serialize_to_request(parameters, operation)
    return wire


@pytest.mark.parametrize("model_id", [MODEL, ARN])
@pytest.mark.parametrize(
    "content",
    [
        {"text": 'Grüße "x" \u2028 \U0001f600'},
        {"image": {"format": "png", "source": {"bytes": b"\x00\xff"}}},
        {"text": "half of a pair: \ud83d"},
        {"toolUse": {"toolUseId": "c1", "name": "t", "input": {"n": 1.5, "deep": [None, True, {"ü": 2**53}]}}},
    ],
)
def test_a_request_is_what_botocore_would_send(model_id: str, content: dict[str, Any]) -> None:
    shared = {"modelId": model_id, "toolConfig": TOOLS, "inferenceConfig": {"maxTokens": 9, "temperature": 0.0}}
    writer = RequestWriter(SERVICE)
    turns, system = [{"role": "user", "content": [content]}], [{"text": "s"}]
    request = writer.request(writer.frame(shared), turns, system)
    wire = botocore_writes({**shared, "messages": turns, "system": system})
    assert json.loads(request.body) == json.loads(wire["body"])
    assert (request.path, dict(request.headers)) == (wire["url_path"], dict(wire["headers"]))


def test_what_converse_does_not_take_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ParamValidationError, match="maxTokens"):
        RequestWriter(SERVICE).frame({"modelId": MODEL, "inferenceConfig": {"maxTokens": "many"}})


@given(
    url=st.sampled_from(
        [
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-micro-v1%3A0/converse",
            "http://127.0.0.1:8088/model/arn%3Aaws%3Ab%2Fa%20b~1/converse",
            "http://h:80/",
        ]
    ),
    body=st.binary(max_size=50),
    token=st.none() | st.text("abc+/=", min_size=1),
    extra=st.dictionaries(
        st.sampled_from(["X-Custom", "accept"]), st.sampled_from(["a", "  a   b ", "application/json"])
    ),
    second=st.integers(0, 2**31 - 1),
)
def test_a_signature_is_the_one_botocore_computes(
    url: str, body: bytes, token: str | None, extra: dict[str, str], second: int
) -> None:
    credentials = ReadOnlyCredentials("AKID", "secret/+x", token, None)
    headers = {"Content-Type": "application/json", **extra}
    ours = SignatureV4("bedrock", REGION, clock=lambda: second).sign(credentials, url, headers, body)
    assert ours["Authorization"] == botocore_signs(credentials, url, headers, body, second)


def botocore_signs(
    credentials: ReadOnlyCredentials,
    url: str,
    headers: dict[str, str],
    body: bytes,
    second: int,
) -> str:
    """The Authorization header by botocore's parts, at a moment of ours."""
    signer = SigV4Auth(credentials, "bedrock", REGION)
    request = AWSRequest("POST", url, data=body, headers=HTTPHeaders.from_dict(headers))
    request.context["timestamp"] = dt.datetime.fromtimestamp(second, dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))
    return str(request.headers["Authorization"])


def test_the_signing_key_follows_the_day_and_the_secret() -> None:
    now = [86_000.0]
    signature = SignatureV4("bedrock", REGION, clock=lambda: now[0])

    def signed(secret: str) -> str:
        credentials = ReadOnlyCredentials("AKID", secret, None, None)
        authorization = signature.sign(credentials, "https://h/x", {}, b"")["Authorization"]
        assert authorization == botocore_signs(credentials, "https://h/x", {}, b"", int(now[0]))
        return authorization

    first = signed("one")
    rotated = signed("two")
    now[0] += 86_400
    assert len({first, rotated, signed("two")}) == 3


ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "so"}]}},
    "stopReason": "tool_use",
    "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
    "metrics": {"latencyMs": 5},
}
TOOL_USE = {"toolUse": {"toolUseId": "c1", "name": "t", "input": {"x": [1, None, {"y": 0.25}]}}}


def answer(*content: dict[str, Any]) -> dict[str, Any]:
    return {**ANSWER, "output": {"message": {"role": "assistant", "content": list(content)}}}


@pytest.mark.parametrize("given_answer", [ANSWER, answer(), answer({"text": "a"}, TOOL_USE)])
def test_a_plain_answer_is_read_as_botocore_reads_it(given_answer: dict[str, Any]) -> None:
    body, headers = json.dumps(given_answer).encode(), {"x-amzn-requestid": "r1", "content-type": "application/json"}
    parser = create_parser(PROTOCOL)
    wire = {"status_code": 200, "headers": headers, "body": body}
    assert read_plain(200, headers, body) == parser.parse(wire, SERVICE.operation_model(OPERATION).output_shape)


@pytest.mark.parametrize("block", [{"toolUse": {"input": {}}}, {"toolUse": "x"}, {"unheard_of": 1}])
def test_an_answer_that_cannot_be_read_is_known_to_be_paid_for(block: dict[str, Any]) -> None:
    settings = BedrockSettings(api_key=SecretStr("x"), endpoint_url="http://127.0.0.1:9")
    model = ModelFactory(settings).create(ModelSettings(id=MODEL))
    with pytest.raises(aiohttp.ClientPayloadError) as caught:
        model.parse({**answer(block), "ResponseMetadata": {}, "usage": {}})
    assert perhaps_paid(caught.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, json.dumps(ANSWER)),
        (200, "<html>"),
        (200, "[]"),
        (200, "{}"),
        (200, json.dumps({**ANSWER, "usage": None})),
        (200, json.dumps(answer({"reasoningContent": {"redactedContent": "AAE="}}))),
        (200, json.dumps({**ANSWER, "output": {"message": {"content": ["text"]}}})),
    ],
)
def test_any_other_answer_is_left_to_botocore(status: int, body: str) -> None:
    assert read_plain(status, {}, body.encode()) is None
