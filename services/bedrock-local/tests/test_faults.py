from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from botocore.exceptions import ClientError
from headgate_bedrock_local.faults import HEADER, Dice, Faults
from headgate_runtime.testing import eventually

from .conftest import Server, ask, ask_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

BEARER = {"authorization": "Bearer x"}


def outcome(boto: Any, request: dict[str, Any]) -> str:
    try:
        return str(boto.converse(**request)["stopReason"])
    except ClientError as error:
        return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error']['Code']}"


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({"throttle_rate": 1}, "429 ThrottlingException"),
        ({"error_rate": 1}, "503 ServiceUnavailableException"),
        ({"timeout_rate": 1}, "408 ModelTimeoutException"),
        ({"model_error_rate": 1}, "424 ModelErrorException"),
        ({"denied": True}, "403 AccessDeniedException"),
        ({"guardrail_rate": 1}, "guardrail_intervened"),
        ({"truncate_rate": 1}, "max_tokens"),
        ({"refusal_rate": 1}, "end_turn"),
        ({"empty_rate": 1}, "end_turn"),
        ({"malformed_rate": 1}, "tool_use"),
        ({"multi_block_rate": 1}, "tool_use"),
    ],
)
def test_each_fault_gives_its_outcome_until_it_is_taken_back(
    server: Server, boto: Any, knobs: dict[str, Any], expected: str
) -> None:
    server.faults(**knobs)
    assert outcome(boto, ask_tool()) == expected
    assert server.stats()["answers"] == (not expected[0].isdigit())
    assert sum(server.stats()["by_error"].values()) == expected[0].isdigit()

    server.faults()
    answer = boto.converse(**ask_tool())["output"]["message"]["content"]
    assert [block["toolUse"]["input"] for block in answer] == [{"verdict": "example"}]


def test_spoilt_answers_look_as_their_name_says(server: Server, boto: Any) -> None:
    contents = {}
    for name in ("refusal", "empty", "malformed", "multi_block", "truncate"):
        server.faults(**{f"{name}_rate": 1})
        contents[name] = boto.converse(**ask_tool())["output"]["message"]["content"]

    assert [list(block) for block in contents["refusal"]] == [["text"]]
    assert contents["empty"] == []
    assert contents["malformed"][0]["toolUse"]["input"] == {}
    assert [next(iter(block)) for block in contents["multi_block"]] == ["text", "toolUse", "text"]
    assert contents["truncate"][0]["toolUse"]["input"] == {}


def test_a_dropped_answer_is_paid_for_and_never_arrives_whole(server: Server) -> None:
    server.faults(drop_rate=1)
    body = {"messages": ask()["messages"]}
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{server.url}/model/a/converse", json=body, headers=BEARER)
    server.faults()
    assert httpx.post(f"{server.url}/model/a/converse", json=body, headers=BEARER).status_code == 200
    stats = server.stats()
    assert (stats["answers"], stats["repeated_answers"]) == (2, 1)
    assert stats["prompts_by_answers"] == {"2": 1}


def test_a_reset_is_no_orderly_end(server: Server) -> None:
    server.faults(reset_rate=1)
    with pytest.raises(httpx.ReadError, match="reset"):
        httpx.post(f"{server.url}/model/a/converse", json={"messages": ask()["messages"]}, headers=BEARER)
    server.faults()
    assert server.stats()["answers"] == 0


def test_a_hung_call_is_in_flight_until_its_caller_leaves(server: Server) -> None:
    server.faults(hang_rate=1)
    with ThreadPoolExecutor(1) as pool:
        body, url = {"messages": ask()["messages"]}, f"{server.url}/model/a/converse"
        call = pool.submit(httpx.post, url, json=body, headers=BEARER, timeout=0.7)
        eventually(lambda: server.stats()["in_flight"] == 1)
        assert isinstance(call.exception(), httpx.ReadTimeout)
    eventually(lambda: server.stats()["in_flight"] == 0)


def test_rates_hit_their_share_and_the_same_calls_in_any_order(server: Server, boto: Any) -> None:
    server.faults(throttle_rate=0.3)
    texts = [f"prompt {number}" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        first = dict(zip(texts, pool.map(lambda text: outcome(boto, ask(text)), texts), strict=True))
    httpx.post(f"{server.url}/admin/reset").raise_for_status()
    server.faults(throttle_rate=0.3)
    with ThreadPoolExecutor(8) as pool:
        second = dict(zip(texts[::-1], pool.map(lambda text: outcome(boto, ask(text)), texts[::-1]), strict=True))

    assert first == second
    throttled = sum(result.startswith("429") for result in first.values())
    assert 35 <= throttled <= 85
    assert server.stats()["by_error"] == {"ThrottlingException": throttled}


@pytest.fixture
def faulty_boto(server: Server) -> Iterator[Any]:
    client = server.client()
    knobs = json.dumps({"throttle_rate": 1, "retry_after_s": 1.5})
    client.meta.events.register("before-send.bedrock-runtime.Converse", lambda request, **_: _add(request, knobs))
    yield client
    client.close()


def _add(request: Any, knobs: str) -> None:
    request.headers[HEADER] = knobs


def test_a_header_faults_its_own_call_only(server: Server, boto: Any, faulty_boto: Any) -> None:
    with pytest.raises(ClientError) as caught:
        faulty_boto.converse(**ask())
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["retry-after"] == "1.5"
    assert outcome(boto, ask()) == "end_turn"
    assert server.stats()["calls"] == 2


def test_requests_a_minute_throttle_and_count_each_model_alone(server: Server, boto: Any) -> None:
    server.faults(requests_per_minute=5)
    outcomes = [outcome(boto, ask(str(number))) for number in range(8)]
    assert outcomes == ["end_turn"] * 5 + ["429 ThrottlingException"] * 3
    assert outcome(boto, ask() | {"modelId": "amazon.nova-lite-v1:0"}) == "end_turn"
    assert server.stats()["by_error"] == {"ThrottlingException": 3}


def test_tokens_a_minute_reserve_max_tokens_and_give_the_rest_back(server: Server, boto: Any) -> None:
    server.faults(tokens_per_minute=1_000)
    greedy = ask(inferenceConfig={"maxTokens": 1_000})
    modest = ask(inferenceConfig={"maxTokens": 900})
    assert outcome(boto, greedy) == "429 ThrottlingException"
    assert [outcome(boto, modest) for _ in range(3)] == ["end_turn"] * 3
    assert server.stats()["answers"] == 3


def test_latency_is_waited_for_by_many_calls_at_once(server: Server, boto: Any) -> None:
    server.faults(latency_ms=300)
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: boto.converse(**ask(str(number))), range(8)))
    assert time.monotonic() - started >= 0.3
    assert server.stats()["peak_in_flight"] > 1


def test_jitter_spreads_the_latency_around_its_median() -> None:
    faults = Faults(latency_ms=100, jitter=0.5)
    waits = sorted(Dice(7, number.to_bytes(8, "big"), 1).latency_s(faults) for number in range(2_001))
    assert 0.09 < waits[1_000] < 0.11
    assert waits[20] < 0.05
    assert waits[-20] > 0.2


def test_draws_differ_by_seed_prompt_attempt_and_knob() -> None:
    draws = {
        Dice(seed, prompt, attempt).roll(name)
        for seed in (1, 2)
        for prompt in (b"a", b"b")
        for attempt in (1, 2)
        for name in ("throttle", "error")
    }
    assert len(draws) == 16
    assert all(0 <= draw < 1 for draw in draws)
