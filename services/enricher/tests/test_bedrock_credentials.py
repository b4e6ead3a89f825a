from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import botocore.exceptions as aws
import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from headgate_enricher.bedrock.errors import classify
from headgate_enricher.bedrock.model import ModelFactory
from headgate_enricher.bedrock.retries import RetryPolicy
from headgate_enricher.bedrock.settings import BedrockSettings
from headgate_enricher.bedrock.signing import CredentialSource
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.testing import eventually
from pydantic import SecretStr

if TYPE_CHECKING:
    from pathlib import Path


class Vault:
    """Gives new credentials each time it is asked, once it is let."""

    def __init__(self, lifetime: timedelta = timedelta(hours=6)) -> None:
        self.asked = 0
        self.open = threading.Event()
        self.open.set()
        self.lifetime = lifetime

    def refresh(self) -> dict[str, str]:
        self.asked += 1
        assert self.open.wait(20)
        return self.metadata(self.lifetime)

    def metadata(self, lifetime: timedelta) -> dict[str, str]:
        expiry = (datetime.now(UTC) + lifetime).isoformat()
        return {"access_key": f"key{self.asked}", "secret_key": "s", "token": "t", "expiry_time": expiry}

    def credentials(self, lifetime: timedelta) -> RefreshableCredentials:
        return RefreshableCredentials.create_from_metadata(self.metadata(lifetime), self.refresh, "test")


def test_lasting_credentials_are_frozen_once() -> None:
    source = CredentialSource(Credentials("key", "secret"))
    assert asyncio.run(source.current()).access_key == "key"


def test_calls_in_the_advisory_time_go_on_while_a_thread_refreshes() -> None:
    async def calls(vault: Vault) -> list[str]:
        source = CredentialSource(vault.credentials(timedelta(hours=1)))
        await source.current()
        source = CredentialSource(vault.credentials(timedelta(minutes=12)))
        vault.open.set()
        await source.current()
        await asyncio.to_thread(eventually, lambda: vault.asked == 1)
        return [(await source.current()).access_key for _ in range(3)]

    vault = Vault()
    assert asyncio.run(calls(vault)) == ["key1"] * 3
    assert vault.asked == 1


def test_credentials_about_to_expire_are_refreshed_once_for_all_who_wait_and_the_loop_runs_on() -> None:
    async def calls(vault: Vault) -> set[str]:
        source = CredentialSource(vault.credentials(timedelta(minutes=1)))
        waiting = [asyncio.create_task(source.current()) for _ in range(50)]
        await asyncio.to_thread(eventually, lambda: vault.asked == 1)
        assert not any(task.done() for task in waiting)
        vault.open.set()
        return {frozen.access_key for frozen in await asyncio.gather(*waiting)}

    vault = Vault()
    vault.open.clear()
    assert asyncio.run(calls(vault)) == {"key1"}
    assert vault.asked == 1


def test_a_caller_that_gives_up_does_not_cancel_the_refresh_of_the_others() -> None:
    async def calls(vault: Vault) -> str:
        source = CredentialSource(vault.credentials(timedelta(minutes=1)))
        impatient, patient = (asyncio.create_task(source.current()) for _ in range(2))
        await asyncio.to_thread(eventually, lambda: vault.asked == 1)
        impatient.cancel()
        vault.open.set()
        return (await patient).access_key

    vault = Vault()
    vault.open.clear()
    assert asyncio.run(calls(vault)) == "key1"


def test_no_credentials_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigurationError, match=r"bedrock\.api_key"):
        ModelFactory(BedrockSettings(endpoint_url="http://127.0.0.1:1"))


def test_the_settings_do_not_print_their_secrets() -> None:
    settings = BedrockSettings(api_key=SecretStr("hidden"))
    assert "hidden" not in repr(settings)


def client_error(status: int, **headers: str) -> aws.ClientError:
    response = {"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers}}
    return aws.ClientError(response, "Converse")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        *[(client_error(status), "denied") for status in (401, 402, 403, 404)],
        *[(client_error(status), "invalid_request") for status in (400, 413)],
        *[(client_error(status), "unavailable") for status in (500, 502, 503, 529)],
        (client_error(408), "timeout"),
        (client_error(424), "model_error"),
        (client_error(429), "throttled"),
        (client_error(0), "unknown"),
        (TimeoutError(), "timeout"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (aiohttp.ServerDisconnectedError(), "unavailable"),
        (ConnectionResetError(), "unavailable"),
        (aws.ReadTimeoutError(endpoint_url="x"), "timeout"),
        (aws.EndpointConnectionError(endpoint_url="x"), "unavailable"),
        (aws.NoCredentialsError(), "denied"),
        (aws.ParamValidationError(report="x"), "invalid_request"),
        (ValueError(), "unknown"),
    ],
)
def test_every_error_has_its_reason(error: Exception, reason: str) -> None:
    assert classify(error) == reason


def test_waits_have_full_jitter_under_a_doubling_bound() -> None:
    policy = RetryPolicy(max_attempts=10, base_s=1, cap_s=5)
    throttled: list[Exception] = [client_error(429)]
    for attempts, bound_s in ((1, 1), (2, 2), (3, 4), (4, 5), (9, 5)):
        waits = [policy.wait_s(throttled * attempts) or 0.0 for _ in range(300)]
        assert 0 <= min(waits) < bound_s * 0.1
        assert bound_s * 0.9 < max(waits) <= bound_s
    assert policy.wait_s(throttled * 10) is None


@pytest.mark.parametrize(
    ("header", "least_s", "most_s"),
    [
        ("3", 3.0, 3.0),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0, 1.0),
        ("soon", 0.0, 1.0),
        ((datetime.now(UTC) + timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT"), None, None),
        ("900", None, None),
    ],
    ids=["seconds", "past", "no date", "in an hour", "too long"],
)
def test_retry_after_is_read_as_seconds_or_date(header: str, least_s: float | None, most_s: float | None) -> None:
    policy = RetryPolicy(max_attempts=3, base_s=1, cap_s=5)
    wait_s: Any = policy.wait_s([client_error(429, **{"retry-after": header})])
    if least_s is None or most_s is None:
        assert wait_s is None
    else:
        assert least_s <= wait_s <= most_s
