from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from headgate_enricher.bedrock.deadline import deadline
from headgate_enricher.bedrock.errors import classify
from headgate_enricher.bedrock.retries import DeadlineError
from headgate_enricher.bedrock.settings import ModelSettings
from headgate_runtime.testing import eventually
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel, Field, SecretStr

from .bedrock_server import BedrockServer, bedrock_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headgate_enricher.bedrock.model import AsyncBedrockConverse
    from langchain_core.messages import AIMessage

ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
THROTTLED = {"throttle_rate": 1}


class Verdict(BaseModel):
    """Record the verdict."""

    verdict: str
    score: float = Field(ge=0, le=1)


@pytest.fixture(scope="module")
def one_server() -> Iterator[BedrockServer]:
    with bedrock_server() as server:
        yield server


@pytest.fixture
def server(one_server: BedrockServer) -> BedrockServer:
    # The endpoint answers calls whose client has left, as the real one does: the next test waits until it has.
    eventually(lambda: one_server.stats()["in_flight"] == 0)
    one_server.reset()
    return one_server


async def ask(model: AsyncBedrockConverse, text: str = "Hello") -> AIMessage:
    """Bind the tool, ask once, close."""
    try:
        bound = model.bind_tools([Verdict], tool_choice="Verdict")
        return await bound.ainvoke([SystemMessage("You judge."), HumanMessage(text)])
    finally:
        await model.aclose()


def failure(model: AsyncBedrockConverse) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (each caller looks at what it is)
        asyncio.run(ask(model))
    return caught.value


def test_a_bound_tool_gives_tool_calls_usage_and_stop_reason(server: BedrockServer) -> None:
    message = asyncio.run(ask(server.model()))

    [call] = message.tool_calls
    assert call["name"] == "Verdict"
    assert Verdict.model_validate(call["args"]).score == 0
    assert message.response_metadata["stopReason"] == "tool_use"
    assert message.response_metadata["ResponseMetadata"]["RetryAttempts"] == 0
    stats = server.stats()
    assert message.usage_metadata is not None
    assert message.usage_metadata["input_tokens"] == stats["input_tokens"]
    assert message.usage_metadata["output_tokens"] == stats["output_tokens"]


def test_a_repair_is_a_second_round_of_the_same_conversation(server: BedrockServer) -> None:
    async def repair() -> AIMessage:
        async with aclosing(server.model()) as model:
            bound = model.bind_tools([Verdict], tool_choice="Verdict")
            question = HumanMessage("Judge.")
            first = await bound.ainvoke([question])
            complaint = ToolMessage("score is missing", tool_call_id=first.tool_calls[0]["id"])
            return await bound.ainvoke([question, first, complaint])

    assert asyncio.run(repair()).tool_calls
    assert server.stats()["answers"] == 2


@pytest.mark.parametrize("options", [{}, {"inference_config": {"temperature": 0.5}}])
def test_max_tokens_is_always_sent(server: BedrockServer, options: dict[str, Any]) -> None:
    async def ask_plainly() -> AIMessage:
        async with aclosing(server.model(max_tokens=2)) as model:
            return await model.ainvoke("Hello", **options)

    message = asyncio.run(ask_plainly())
    assert message.response_metadata["stopReason"] == "max_tokens"
    assert server.stats()["output_tokens"] == 2


@pytest.mark.parametrize(
    ("faults", "attempts", "reason"),
    [
        (THROTTLED, 3, "throttled"),
        ({"error_rate": 1}, 3, "unavailable"),
        ({"timeout_rate": 1}, 2, "timeout"),
        ({"model_error_rate": 1}, 2, "model_error"),
        ({"drop_rate": 1}, 2, "unavailable"),
        ({"denied": True}, 1, "denied"),
        ({"throttle_rate": 1, "retry_after_s": 60}, 1, "throttled"),
    ],
)
def test_attempts_are_bounded_by_the_kind_of_failure(
    server: BedrockServer, faults: dict[str, Any], attempts: int, reason: str
) -> None:
    server.faults(**faults)
    assert classify(failure(server.model())) == reason
    assert server.stats()["calls"] == attempts


def test_a_request_the_model_does_not_take_is_not_repeated(server: BedrockServer) -> None:
    error = failure(server.model(ModelSettings(id="us.amazon.nova micro")))
    assert isinstance(error, ClientError)
    assert classify(error) == "invalid_request"
    assert server.stats()["by_error"] == {"ValidationException": 1}


def test_max_attempts_of_one_means_no_retry(server: BedrockServer) -> None:
    server.faults(**THROTTLED)
    failure(server.model(max_attempts=1))
    assert server.stats()["calls"] == 1


def test_retry_after_is_waited_for(server: BedrockServer) -> None:
    server.faults(throttle_rate=1, retry_after_s=0.4)
    started = time.monotonic()
    failure(server.model())
    assert time.monotonic() - started >= 0.8
    assert server.stats()["calls"] == 3


def test_no_attempt_starts_after_the_deadline(server: BedrockServer) -> None:
    with deadline(time.monotonic() - 1):
        error = failure(server.model())
    assert isinstance(error, DeadlineError)
    assert classify(error) == "timeout"
    assert server.stats()["calls"] == 0


def test_a_wait_that_would_pass_the_deadline_is_not_begun(server: BedrockServer) -> None:
    server.faults(throttle_rate=1, retry_after_s=4.5)
    model = server.model()
    started = time.monotonic()
    with deadline(started + 4):
        assert classify(failure(model)) == "throttled"
    assert time.monotonic() - started < 4
    assert server.stats()["calls"] == 1


def test_an_attempt_ends_at_the_deadline(server: BedrockServer) -> None:
    server.faults(latency_ms=4_000)
    model = server.model()
    started = time.monotonic()
    with deadline(started + 0.6):
        assert classify(failure(model)) == "timeout"
    assert time.monotonic() - started < 4
    assert server.stats()["calls"] == 1


def test_an_inner_deadline_cannot_outlast_an_outer_one(server: BedrockServer) -> None:
    with deadline(time.monotonic() - 1), deadline(time.monotonic() + 60):
        assert isinstance(failure(server.model()), DeadlineError)
    assert server.stats()["calls"] == 0


def test_an_attempt_that_takes_too_long_is_repeated_once(server: BedrockServer) -> None:
    server.faults(latency_ms=3_000)
    assert classify(failure(server.model(timeout_s=0.5))) == "timeout"
    assert server.stats()["calls"] == 2


def test_nobody_listening_is_unavailable() -> None:
    with bedrock_server() as gone:
        model = gone.model()
    assert classify(failure(model)) == "unavailable"


def ask_at_once(server: BedrockServer, calls: int) -> list[AIMessage]:
    async def ask_all() -> list[AIMessage]:
        # What this machine needs for 256 connections at once is not what is tested.
        async with aclosing(server.model(max_connections=256, timeout_s=120, connect_timeout_s=60)) as model:
            bound = model.bind_tools([Verdict], tool_choice="Verdict")
            messages = await asyncio.gather(*(bound.ainvoke(f"Judge {number}") for number in range(calls)))
            assert model.transport.in_flight == 0
            return messages

    return asyncio.run(ask_all())


def test_256_calls_of_half_a_second_are_in_flight_at_once(server: BedrockServer) -> None:
    started = time.monotonic()
    ask_at_once(server, 256)
    # On a busy machine the last of 256 calls may start later than half a second after the first.
    latency_s = max(0.5, 2 * (time.monotonic() - started))
    server.reset()
    server.faults(latency_ms=round(latency_s * 1000))
    started = time.monotonic()
    messages = ask_at_once(server, 512)
    took_s = time.monotonic() - started

    stats = server.stats()
    assert all(message.tool_calls for message in messages)
    assert stats["peak_in_flight"] == 256
    assert (stats["calls"], stats["answers"], stats["repeated_answers"]) == (512, 512, 0)
    assert took_s < 512 * latency_s / 8


def test_throttling_costs_bounded_attempts_and_passes_without_a_restart(server: BedrockServer) -> None:
    async def outage_and_recovery() -> list[list[AIMessage | BaseException]]:
        rounds = []
        async with aclosing(server.model(max_attempts=3)) as model:
            for rate in (1, 0.3, 0):
                await asyncio.to_thread(server.faults, throttle_rate=rate)
                calls = (model.ainvoke(f"Judge {rate} {number}") for number in range(40))
                rounds.append(await asyncio.gather(*calls, return_exceptions=True))
        return rounds

    outage, partial, after = asyncio.run(outage_and_recovery())
    assert all(isinstance(result, ClientError) and classify(result) == "throttled" for result in outage)
    retried = [
        result.response_metadata["ResponseMetadata"]["RetryAttempts"]
        for result in partial
        if not isinstance(result, BaseException)
    ]
    assert len(retried) > 30
    assert max(retried) in (1, 2)
    assert not any(isinstance(result, BaseException) for result in after)
    stats = server.stats()
    assert stats["by_error"]["ThrottlingException"] == 120 + sum(retried) + 3 * (40 - len(retried))
    assert stats["repeated_answers"] == 0


def test_a_cancelled_call_frees_its_connection(server: BedrockServer) -> None:
    async def cancel_then_ask() -> AIMessage:
        async with aclosing(server.model(max_connections=2)) as model:
            await asyncio.to_thread(server.faults, latency_ms=5_000)
            calls = [asyncio.create_task(model.ainvoke(f"Judge {number}")) for number in range(2)]
            await asyncio.to_thread(eventually, lambda: server.stats()["in_flight"] == 2)
            for call in calls:
                call.cancel()
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ended)
            assert model.transport.in_flight == 0
            await asyncio.to_thread(server.faults)
            async with asyncio.timeout(3):
                return await model.ainvoke("Judge again")

    assert asyncio.run(cancel_then_ask()).response_metadata["stopReason"] == "end_turn"


def test_signatures_hold_on_the_wire_also_for_an_arn() -> None:
    keys = {"access_key_id": SecretStr("AKIDTEST"), "api_key": None}
    arn = ModelSettings(id=ARN, provider="amazon", base_model_id="amazon.nova-micro-v1:0")
    with bedrock_server(HEADGATE_BEDROCK_LOCAL_SECRETS='{"AKIDTEST": "right"}') as server:
        right = server.model(arn, secret_access_key=SecretStr("right"), **keys)
        assert asyncio.run(ask(right)).tool_calls
        error = failure(server.model(arn, secret_access_key=SecretStr("wrong"), **keys))
        assert isinstance(error, ClientError)
        assert error.response["Error"]["Code"] == "InvalidSignatureException"
        assert classify(error) == "denied"
        assert server.stats()["calls"] == 2


def test_the_model_neither_streams_nor_blocks(server: BedrockServer) -> None:
    async def stream() -> list[str]:
        async with aclosing(server.model()) as model:
            return [str(chunk.content) async for chunk in model.astream("Hello")]

    assert asyncio.run(stream())[0].startswith("Local answer")
    with pytest.raises(NotImplementedError, match="ainvoke"):
        server.model().invoke("Hello")
    assert server.stats()["calls"] == 1
