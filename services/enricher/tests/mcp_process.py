"""A real MCP server in a process of its own, and what it was asked."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate_runtime.testing import eventually

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator

SERVER = Path(__file__).with_name("mcp_server.py")
START_TIMEOUT_S = 60.0


def calls(log: Path, tool: str) -> list[dict[str, Any]]:
    """What a server wrote down of a tool's calls."""
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    return [call for call in map(json.loads, lines) if call["tool"] == tool]


@dataclass
class HttpServer:
    """A server over streamable HTTP that can be killed, stopped and started again at its port."""

    log: Path
    port: int
    token: str | None = None
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self, **environment: str) -> None:
        command = [sys.executable, str(SERVER), str(self.log), str(self.port)]
        environment = {**os.environ, **environment, **({"SERVER_TOKEN": self.token} if self.token else {})}
        self._process = subprocess.Popen(command, env=environment)  # noqa: S603 - ours
        eventually(self._listens, START_TIMEOUT_S)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the server has ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill9(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_TIMEOUT_S)


@contextmanager
def http_server(log: Path, token: str | None = None) -> Iterator[HttpServer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    server = HttpServer(log, port, token)
    try:
        server.start()
        yield server
    finally:
        server.kill9()


def stdio_command(log: Path) -> list[str]:
    return [sys.executable, str(SERVER), str(log)]
