"""Every fault as boto3's own client tells it: exception class, code, status, and what `standard` retries do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions as aws
import pytest
from botocore.config import Config
from botocore.eventstream import ChecksumMismatch
from headgate_runtime.testing import eventually
from urllib3.exceptions import ProtocolError

from .conftest import Server, ask, ask_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

ATTEMPTS = 2
ERRORS: list[tuple[dict[str, Any], str, int, int]] = [
    # knobs, exception class, status, attempts of `standard`
    ({"denied": True}, "AccessDeniedException", 403, 1),
    ({"unpaid": True}, "AccessDeniedException", 403, 1),
    ({"not_found": True}, "ResourceNotFoundException", 404, 1),
    ({"invalid": True}, "ValidationException", 400, 1),
    ({"over_quota": True}, "ThrottlingException", 429, ATTEMPTS),
    ({"throttle_rate": 1}, "ThrottlingException", 429, ATTEMPTS),
    ({"tokens_per_minute": 10}, "ThrottlingException", 429, ATTEMPTS),
    ({"not_ready_rate": 1}, "ModelNotReadyException", 429, ATTEMPTS),
    ({"error_rate": 1}, "ServiceUnavailableException", 503, ATTEMPTS),
    ({"internal_rate": 1}, "InternalServerException", 500, ATTEMPTS),
    ({"timeout_rate": 1}, "ModelTimeoutException", 408, 1),
    ({"model_error_rate": 1}, "ModelErrorException", 424, 1),
]
BROKEN: list[tuple[dict[str, Any], type[Exception], int]] = [
    ({"reset_rate": 1}, aws.ConnectionClosedError, ATTEMPTS),
    ({"hang_rate": 1}, aws.ReadTimeoutError, ATTEMPTS),
]
STREAM_ERRORS = (
    "internalServerException",
    "modelStreamErrorException",
    "serviceUnavailableException",
    "throttlingException",
    "validationException",
)


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    client = boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=server.url,
        aws_access_key_id="AKIDANY",
        aws_secret_access_key="any",
        config=Config(retries={"mode": "standard", "total_max_attempts": ATTEMPTS}, read_timeout=0.5),
    )
    yield client
    client.close()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: next(iter(error[0])))
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_an_error_is_the_services_own_and_is_retried_as_such(
    server: Server, client: Any, operation: str, error: tuple[dict[str, Any], str, int, int]
) -> None:
    knobs, name, status, attempts = error
    server.faults(**knobs)
    with pytest.raises(client.exceptions.ClientError) as caught:
        getattr(client, operation)(**ask())
    answer = caught.value.response
    assert type(caught.value) is getattr(client.exceptions, name)
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (name, status)
    assert answer["ResponseMetadata"]["RetryAttempts"] == attempts - 1
    assert answer["Error"]["Message"]
    assert server.stats()["by_error"] == {name: attempts}
    declared = client.meta.service_model.operation_model(caught.value.operation_name).error_shapes
    assert name in {shape.name for shape in declared}


@pytest.mark.parametrize(("knobs", "error", "attempts"), BROKEN)
def test_a_broken_connection_is_told_by_its_kind(
    server: Server, client: Any, knobs: dict[str, Any], error: type[Exception], attempts: int
) -> None:
    server.faults(**knobs)
    with pytest.raises(error):
        client.converse(**ask())
    assert server.stats()["calls"] == attempts
    eventually(lambda: server.stats()["in_flight"] == 0)
    assert server.stats()["answers"] == 0


@pytest.mark.parametrize("knob", ["garble_rate", "drop_rate"])
def test_a_body_that_is_no_json_or_cut_is_an_answer_without_its_fields(server: Server, client: Any, knob: str) -> None:
    # botocore raises nothing: a caller has to look.
    server.faults(**{knob: 1})
    answer = client.converse(**ask())
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert "output" not in answer
    assert server.stats()["answers"] == 1


@pytest.mark.parametrize("name", STREAM_ERRORS)
def test_a_stream_ends_in_its_exception_after_what_was_said(server: Server, client: Any, name: str) -> None:
    server.faults(stream_error_rate=1, stream_error=name)
    events: list[dict[str, Any]] = []
    with pytest.raises(aws.EventStreamError) as caught:
        events.extend(client.converse_stream(**ask_tool())["stream"])
    assert caught.value.response["Error"]["Code"] == name
    assert next(iter(events[0])) == "messageStart"
    assert not any("messageStop" in event for event in events)
    assert server.stats()["calls"] == server.stats()["answers"] == 1


@pytest.mark.parametrize(("knob", "error"), [("garble_rate", ChecksumMismatch), ("drop_rate", ProtocolError)])
def test_a_stream_that_is_garbled_or_cut_is_noticed(
    server: Server, client: Any, knob: str, error: type[Exception]
) -> None:
    server.faults(**{knob: 1})
    with pytest.raises(error):
        list(client.converse_stream(**ask_tool())["stream"])
    assert server.stats()["answers"] == 1


@pytest.mark.parametrize(
    ("knobs", "stop_reason", "blocks"),
    [
        ({"guardrail_rate": 1}, "guardrail_intervened", ["text"]),
        ({"filter_rate": 1}, "content_filtered", ["text"]),
        ({"refusal_rate": 1}, "end_turn", ["text"]),
        ({"empty_rate": 1}, "end_turn", []),
        ({"truncate_rate": 1}, "max_tokens", ["toolUse"]),
        ({"malformed_rate": 1}, "tool_use", ["toolUse"]),
        ({"multi_block_rate": 1}, "tool_use", ["text", "toolUse", "text"]),
    ],
)
def test_a_spoilt_answer_is_streamed_as_it_is_told(
    server: Server, client: Any, knobs: dict[str, Any], stop_reason: str, blocks: list[str]
) -> None:
    server.faults(**knobs)
    whole = client.converse(**ask_tool())
    events = list(client.converse_stream(**ask_tool())["stream"])
    assert whole["stopReason"] == stop_reason
    assert [next(iter(block)) for block in whole["output"]["message"]["content"]] == blocks
    assert [event["messageStop"]["stopReason"] for event in events if "messageStop" in event] == [stop_reason]
    assert sum("contentBlockStop" in event for event in events) == len(blocks)
    assert server.stats()["answers"] == 2


def test_the_header_carries_every_knob_of_a_call(server: Server, client: Any) -> None:
    knobs = json.dumps({"internal_rate": 1, "retry_after_s": 2})
    client.meta.events.register(
        "before-send.bedrock-runtime.Converse",
        lambda request, **_: request.headers.update({"x-headgate-faults": knobs}),
    )
    with pytest.raises(client.exceptions.InternalServerException) as caught:
        client.converse(**ask())
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "2"
    assert next(iter(client.converse_stream(**ask())["stream"]))["messageStart"] == {"role": "assistant"}
    assert server.stats()["answers"] == 1
