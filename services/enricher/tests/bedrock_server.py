from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import httpx
from headgate_enricher.bedrock.model import AsyncBedrockConverse, ModelFactory
from headgate_enricher.bedrock.settings import BedrockSettings, ModelSettings
from headgate_runtime.testing import eventually
from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 60.0
MODEL = ModelSettings(id="us.amazon.nova-micro-v1:0")


@dataclass(frozen=True)
class BedrockServer:
    """A local Bedrock endpoint in its own process, and the calls a test steers it with."""

    url: str

    def factory(self, **settings: Any) -> ModelFactory:
        chosen = {"endpoint_url": self.url, "api_key": SecretStr("any"), "backoff_base_s": 0.01, **settings}
        return ModelFactory(BedrockSettings(**chosen))

    def model(self, chosen: ModelSettings = MODEL, **settings: Any) -> AsyncBedrockConverse:
        return self.factory(**settings).create(chosen)

    def faults(self, **knobs: Any) -> None:
        httpx.put(f"{self.url}/admin/faults", json=knobs).raise_for_status()

    def reset(self) -> None:
        httpx.post(f"{self.url}/admin/reset").raise_for_status()

    def stats(self) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{self.url}/admin/stats").raise_for_status().json()
        return answer


@contextmanager
def bedrock_server(**environment: str) -> Iterator[BedrockServer]:
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "headgate_bedrock_local"],
            env={"HEADGATE_BEDROCK_LOCAL_PORT": "0", "HEADGATE_BEDROCK_LOCAL_DRAIN_TIMEOUT_S": "1", **environment},
            stderr=log,
        )
        try:
            yield BedrockServer(eventually(lambda: _url(process, log), START_TIMEOUT_S))
        finally:
            process.terminate()
            process.wait(START_TIMEOUT_S)


def _url(process: subprocess.Popen[bytes], log: IO[str]) -> str | None:
    log.seek(0)
    text = log.read()
    assert process.poll() is None, text
    found = re.search(r"running on (http://\S+)", text)
    return found.group(1) if found else None
