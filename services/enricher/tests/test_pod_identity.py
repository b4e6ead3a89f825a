"""Calls to Bedrock are signed with what EKS Pod Identity gives, and it is renewed without a restart."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.session import Session
from headgate_enricher.bedrock.settings import BedrockSettings
from headgate_enricher.bedrock.signing import create_signer
from headgate_runtime.testing.pod_identity import PodIdentity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headgate_enricher.bedrock.signing import Signer

URL = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "eks-pod-identity-token"
    path.write_text("first")
    return path


@pytest.fixture
def pod(token_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PodIdentity]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with PodIdentity(token_file) as identity:
        for name, value in identity.environment().items():
            monkeypatch.setenv(name, value)
        yield identity


async def signed_by(signer: Signer) -> tuple[str, str]:
    """Access key and session token of a signed request."""
    headers = await signer.sign(URL, {"Content-Type": "application/json"}, b"{}")
    key = headers["Authorization"].partition("Credential=")[2].partition("/")[0]
    return key, headers["X-Amz-Security-Token"]


def test_a_call_is_signed_with_the_pods_credentials_which_are_asked_for_once(pod: PodIdentity) -> None:
    signer = create_signer(BedrockSettings(), Session())

    async def calls() -> list[tuple[str, str]]:
        return [await signed_by(signer) for _ in range(3)]

    assert asyncio.run(calls()) == [("key-1", "session-1")] * 3
    assert pod.given == 1


def test_credentials_that_end_soon_are_renewed_beside_the_calls_with_the_token_that_is_in_the_file_then(
    pod: PodIdentity, token_file: Path
) -> None:
    pod.lifetime = timedelta(minutes=12)  # botocore would have more left, and can go on with it

    async def calls() -> None:
        signer = create_signer(BedrockSettings(), Session())
        key, _ = await signed_by(signer)
        await asyncio.to_thread(token_file.write_text, "rotated")
        pod.lifetime = timedelta(hours=6)
        signer._credentials._refreshed_s -= 60  # type: ignore[attr-defined]  # as if the last renewal was a minute ago
        assert (await signed_by(signer))[0] == key
        await signer._credentials._refreshing  # type: ignore[attr-defined]  # the renewal, for which no call waits
        assert (await signed_by(signer))[0] != key

    asyncio.run(calls())


def test_credentials_about_to_end_are_renewed_before_the_next_call(pod: PodIdentity) -> None:
    pod.lifetime = timedelta(minutes=5)

    async def calls() -> None:
        signer = create_signer(BedrockSettings(), Session())
        first, _ = await signed_by(signer)
        pod.lifetime = timedelta(hours=6)
        second, _ = await signed_by(signer)
        assert first != second
        assert (await signed_by(signer))[0] == second

    asyncio.run(calls())
