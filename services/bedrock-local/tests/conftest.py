from __future__ import annotations

import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MODEL = "us.amazon.nova-micro-v1:0"
START_TIMEOUT_S = 60.0
POLICY = """
def judge(fenced, tool_schema):
    if fenced.get("boom"):
        raise ValueError("boom")
    if "tool_results" in fenced:
        return {"verdict": fenced["tool_results"]}
    return {"verdict": "big" if fenced["size"] > 10 else "small", "fields": sorted(tool_schema["properties"])}


def ask_first(fenced, results):
    if fenced.get("prepare") == "boom":
        raise ValueError("boom")
    return {name: {"size": fenced["size"]} for name in fenced.get("prepare", ())}
"""


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    url: str

    def client(self, key: str = "AKIDANY", secret: str = "any") -> Any:  # noqa: S107 (the server takes any)
        return boto3.client(
            "bedrock-runtime",
            region_name="eu-central-1",
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
        )

    def faults(self, **knobs: Any) -> None:
        httpx.put(f"{self.url}/admin/faults", json=knobs).raise_for_status()

    def stats(self) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{self.url}/admin/stats").raise_for_status().json()
        return answer


@contextmanager
def running(environment: Mapping[str, str]) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-m", "headgate_bedrock_local"],
        env={"HEADGATE_BEDROCK_LOCAL_PORT": "0", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: Queue[str | None] = Queue()
    reader = threading.Thread(target=_forward, args=(process, lines), daemon=True)
    reader.start()
    try:
        yield Server(process, _url(lines))
    finally:
        process.terminate()
        process.wait(START_TIMEOUT_S)
        reader.join(START_TIMEOUT_S)
        if process.stderr is not None:
            process.stderr.close()


def _forward(process: subprocess.Popen[str], lines: Queue[str | None]) -> None:
    for line in process.stderr or ():
        lines.put(line)
    lines.put(None)


def _url(lines: Queue[str | None]) -> str:
    log = []
    while (line := lines.get(timeout=START_TIMEOUT_S)) is not None:
        log.append(line)
        found = re.search(r"running on (http://\S+)", line)
        if found:
            return found.group(1)
    raise AssertionError(f"the server did not start:\n{''.join(log)}")


@pytest.fixture(scope="session")
def policy_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "sizes.py").write_text(POLICY)
    info = folder / "sizes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sizes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[headgate.local_policies]\njudge = sizes:judge\n[headgate.local_preparations]\njudge = sizes:ask_first\n"
    )
    return folder


@pytest.fixture(scope="session")
def one_server(policy_path: Path) -> Iterator[Server]:
    with running({"PYTHONPATH": str(policy_path)}) as server:
        yield server


@pytest.fixture
def server(one_server: Server) -> Server:
    httpx.post(f"{one_server.url}/admin/reset").raise_for_status()
    return one_server


@pytest.fixture(scope="session")
def boto(one_server: Server) -> Any:
    return one_server.client()


def tool(name: str, properties: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties or {"verdict": {"type": "string"}}, "required": ["verdict"]}
    return {"toolSpec": {"name": name, "description": "A tool.", "inputSchema": {"json": schema}, **spec}}


def ask(text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": text}]}], **more}


def ask_tool(text: str = "Hello", name: str = "record", **more: Any) -> dict[str, Any]:
    choice = {"tools": [tool(name)], "toolChoice": {"tool": {"name": name}}}
    return ask(text, toolConfig=choice, **more)
