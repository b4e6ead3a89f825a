from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
from botocore.exceptions import ClientError

from .conftest import START_TIMEOUT_S, ask, ask_tool, running

if TYPE_CHECKING:
    from pathlib import Path

ARN = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3"


def test_sigterm_lets_calls_in_flight_finish_and_exits_with_0() -> None:
    with running({"HEADGATE_BEDROCK_LOCAL_FAULTS__LATENCY_MS": "700"}) as server, ThreadPoolExecutor(1) as pool:
        call = pool.submit(server.client().converse, **ask())
        while server.stats()["in_flight"] == 0:
            assert not call.done()
        server.process.terminate()
        assert call.result(20)["stopReason"] == "end_turn"
        assert server.process.wait(20) == 0


def test_signatures_are_verified_where_secrets_are_given() -> None:
    with running({"HEADGATE_BEDROCK_LOCAL_SECRETS": '{"AKIDTEST": "right"}'}) as server:
        right = server.client(key="AKIDTEST", secret="right")
        assert right.converse(**(ask_tool() | {"modelId": ARN}))["stopReason"] == "tool_use"
        codes = []
        for key, secret in (("AKIDTEST", "wrong"), ("AKIDOTHER", "right")):
            with pytest.raises(ClientError) as caught:
                server.client(key=key, secret=secret).converse(**ask())
            codes.append(caught.value.response["Error"]["Code"])
        assert codes == ["InvalidSignatureException", "UnrecognizedClientException"]
        bearer = {"authorization": "Bearer x"}
        assert httpx.post(f"{server.url}/model/a/converse", json={}, headers=bearer).status_code == 403


def start(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headgate_bedrock_local"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("HEADGATE_BEDROCK_LOCAL_FAULTS__THROTTLE_RATE", "37.25", "less than or equal to 1"),
        ("HEADGATE_BEDROCK_LOCAL_PORT", "a-port", "valid integer"),
        ("HEADGATE_BEDROCK_LOCAL_SECRETS", '{"AKIDSECRET": ["s3cret"]}', "valid string"),
        ("HEADGATE_BEDROCK_LOCAL_SECRETS", "{s3cret", 'error parsing value for field "secrets"'),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_without_its_value(name: str, value: str, wrong: str) -> None:
    ended = start({"HEADGATE_BEDROCK_LOCAL_PORT": "0", name: value})
    assert ended.returncode == 2
    assert wrong in ended.stderr
    assert name.removeprefix("HEADGATE_BEDROCK_LOCAL_").lower() in ended.stderr.lower()
    assert value not in ended.stderr
    assert not any(part in ended.stderr for part in ("s3cret", "AKIDSECRET", "pydantic", "Traceback"))


def test_a_policy_that_does_not_load_is_told_and_exits_with_2(tmp_path: Path) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[headgate.local_policies]\nbroken = no_such_module:policy\n")
    ended = start({"HEADGATE_BEDROCK_LOCAL_PORT": "0", "PYTHONPATH": str(tmp_path)})
    assert ended.returncode == 2
    assert "no_such_module" in ended.stderr
