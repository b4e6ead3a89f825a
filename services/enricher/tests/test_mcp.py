"""External tools against real MCP servers in processes of their own: what is offered, called, refused, and comes back."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from headgate_enricher.config import Settings
from headgate_enricher.loop_thread import LoopThread
from headgate_enricher.mcp import McpServer, OpenTools, open_tools
from headgate_runtime.errors import ConfigurationError, UnavailableError
from headgate_runtime.masking import masked
from headgate_runtime.metrics import Metrics
from headgate_runtime.testing import eventually
from headgate_schemas.agent import ToolArgumentsError, ToolUnavailableError
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from .mcp_process import HttpServer, calls, http_server, stdio_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from headgate_schemas.agent import ExternalTool

OFFERED = ("lookup_merchant", "say", "slow", "fails", "talks")
TIMEOUT_S = 0.5
TOKEN = "a-token-of-this-test"


class Offered:
    """The tools as an agent gets them, called from this thread."""

    def __init__(self, thread: LoopThread, opened: OpenTools, metrics: Metrics) -> None:
        self.tools: dict[str, ExternalTool] = {tool.name: tool for tool in opened.tools}
        self._thread = thread
        self._metrics = metrics

    def call(self, name: str, /, **arguments: Any) -> Mapping[str, Any]:
        async def called() -> Mapping[str, Any]:
            return await self.tools[f"reference__{name}"].call(arguments)

        return self._thread.run(called(), 20)

    def refusal(self, name: str, /, **arguments: Any) -> str | None:
        try:
            self.call(name, **arguments)
        except ToolUnavailableError as error:
            return error.reason
        return None

    def value(self, name: str, **labels: str) -> float:
        return self._metrics.registry.get_sample_value(f"headgate_{name}", labels) or 0.0


@contextmanager
def offered(**server: Any) -> Iterator[Offered]:
    chosen = McpServer.model_validate({"tools": OFFERED, "timeout_s": TIMEOUT_S, **server})
    thread, metrics = LoopThread("test"), Metrics()
    opened = OpenTools()
    try:
        opened = open_tools({"reference": chosen}, thread, metrics)
        yield Offered(thread, opened, metrics)
    finally:
        thread.run(opened.aclose(), 10)
        thread.stop(5)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with http_server(tmp_path_factory.mktemp("mcp") / "calls.jsonl") as running:
        yield running


@pytest.fixture(scope="module", params=["http", "stdio"])
def tools(request: pytest.FixtureRequest, server: HttpServer) -> Iterator[Offered]:
    command = {"command": stdio_command(server.log), "environment": {"GREETING": "hello"}}
    with offered(**({"url": server.url} if request.param == "http" else command)) as found:
        yield found


def test_only_tools_on_the_allow_list_are_offered_under_the_servers_name(tools: Offered) -> None:
    assert list(tools.tools) == [f"reference__{name}" for name in OFFERED]
    tool = tools.tools["reference__lookup_merchant"]
    assert (tool.label, tool.description) == ("reference.lookup_merchant", "Say what is known of a merchant.")
    assert tool.arguments["properties"]["name"]["type"] == "string"
    assert tool.results is not None
    assert tool.results["properties"]["risk"]["enum"] == ["normal", "high"]
    assert tools.value("mcp_server_up", server="reference") == 1


def test_a_call_gives_structured_content_or_the_words_of_a_tool_without_a_schema(tools: Offered) -> None:
    answer = tools.call("lookup_merchant", name="Ann's Shop")
    assert (answer["known"], answer["risk"], answer["years"]) == (True, "high", 12)
    assert tools.call("say", name="Ann") == {"text": "All is well, Ann."}
    assert tools.value("mcp_calls_total", tool="reference.say", outcome="answered") == 1


@pytest.mark.parametrize("arguments", [{}, {"name": 7}])
def test_arguments_that_the_schema_does_not_take_are_never_sent(
    tools: Offered, server: HttpServer, arguments: dict[str, Any]
) -> None:
    before = len(calls(server.log, "lookup_merchant"))
    with pytest.raises(ToolArgumentsError, match="name"):
        tools.call("lookup_merchant", **arguments)
    assert len(calls(server.log, "lookup_merchant")) == before


def test_a_tool_that_fails_or_says_too_much_gives_no_answer_and_keeps_its_session(tools: Offered) -> None:
    assert tools.refusal("fails", name="x") == "error"
    assert tools.refusal("talks", size=20_000) == "too_large"
    assert tools.refusal("talks", size=10) is None
    assert tools.value("mcp_server_up", server="reference") == 1


def test_a_slow_tool_is_left_within_its_time(tools: Offered) -> None:
    began_s = time.monotonic()
    assert tools.refusal("slow", name="x") == "timeout"
    assert TIMEOUT_S <= time.monotonic() - began_s < TIMEOUT_S + 2
    assert tools.refusal("say", name="x") is None


def test_an_answer_longer_than_what_is_read_breaks_off(server: HttpServer) -> None:
    with offered(url=server.url, timeout_s=10) as tools:
        assert tools.refusal("talks", size=2 << 20) == "away"
        assert eventually(lambda: tools.refusal("say", name="x") is None, 20)


@pytest.mark.parametrize("name", ["block_merchant", "forget_merchant"])
def test_a_tool_that_may_change_something_is_refused_at_start(server: HttpServer, name: str) -> None:
    with (
        pytest.raises(ConfigurationError, match=f"{name}.*only read-only tools"),
        offered(url=server.url, tools=[name]),
    ):
        pass
    assert calls(server.log, name) == []


def test_a_tool_the_server_does_not_have_is_refused_at_start_with_those_it_has(server: HttpServer) -> None:
    with (
        pytest.raises(ConfigurationError, match=r"no tool 'other'.*lookup_merchant"),
        offered(url=server.url, tools=["other"]),
    ):
        pass


def test_a_server_away_at_start_says_what_to_do() -> None:
    for place in ({"url": "http://user:secret@127.0.0.1:9/mcp?key=secret"}, {"command": ["/nowhere/server"]}):
        with (
            pytest.raises(UnavailableError, match="start it, see to its token, or take it out") as caught,
            offered(**place),
        ):
            pass
        assert "secret" not in str(caught.value)


def test_a_killed_server_is_found_again_in_the_background(log: Path) -> None:
    with http_server(log) as server, offered(url=server.url) as tools:
        assert tools.refusal("say", name="x") is None
        server.kill9()
        assert tools.refusal("say", name="x") == "away"
        began_s = time.monotonic()
        eventually(lambda: tools.value("mcp_server_up", server="reference") == 0)
        assert tools.refusal("say", name="x") == "away"
        assert time.monotonic() - began_s < 2
        server.start()
        eventually(lambda: tools.refusal("say", name="x") is None, 30)
        assert tools.value("mcp_server_up", server="reference") == 1


def test_a_killed_process_is_started_again(log: Path) -> None:
    with offered(command=stdio_command(log), environment={"GREETING": "hello"}) as tools:
        (first,) = calls(log, "started")
        assert first["greeting"] == "hello"
        os.kill(first["pid"], signal.SIGKILL)
        eventually(lambda: tools.refusal("say", name="x") == "away")
        eventually(lambda: tools.refusal("say", name="x") is None, 30)
        assert len(calls(log, "started")) == 2
        last = calls(log, "started")[-1]["pid"]
    eventually(lambda: not _lives(last), 10)


def test_tools_that_come_back_changed_are_not_called_until_they_are_as_they_were(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    monkeypatch.setattr("headgate_enricher.mcp.connection.logger", heard)
    monkeypatch.setattr("headgate_enricher.mcp.connection.LONGEST_WAIT_S", 0.5)
    with http_server(log) as server, offered(url=server.url) as tools, capture_logs() as logs:
        server.kill9()
        assert tools.refusal("say", name="x") == "away"
        server.start(DESCRIPTION="Something else.")
        eventually(lambda: any("tools have changed" in str(line.get("error")) for line in logs), 30)
        assert tools.refusal("say", name="x") == "away"
        assert len(calls(log, "say")) == 0
        server.kill9()
        server.start()
        eventually(lambda: tools.refusal("say", name="x") is None, 40)


def test_a_server_that_answers_nothing_any_more_gets_a_new_session(log: Path) -> None:
    with http_server(log) as server, offered(url=server.url, timeout_s=0.1) as tools:
        server.signal(signal.SIGSTOP)
        eventually(lambda: tools.refusal("say", name="x") == "away", 20)
        assert tools.value("mcp_calls_total", tool="reference.say", outcome="timeout") >= 5
        server.signal(signal.SIGCONT)
        eventually(lambda: tools.refusal("say", name="x") is None, 40)


def test_a_call_that_is_cancelled_leaves_the_session_to_others(server: HttpServer) -> None:
    with offered(url=server.url, timeout_s=10) as tools:
        slow = tools.tools["reference__slow"]

        async def cancelled() -> bool:
            task = asyncio.create_task(slow.call({"name": "x"}))  # type: ignore[arg-type]  # a coroutine
            await asyncio.sleep(0.1)
            task.cancel()
            return isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)

        assert tools._thread.run(cancelled(), 10)
        assert tools.refusal("say", name="x") is None
        assert tools.value("mcp_calls_total", tool="reference.slow", outcome="cancelled") == 1


def test_a_token_is_sent_and_never_shown(
    log: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    with http_server(log, TOKEN) as server:
        configured = f'{{"reference": {{"url": "{server.url}", "tools": ["say"]}}}}'
        monkeypatch.setenv("HEADGATE_ENRICHER_MCP", configured)
        monkeypatch.setenv("HEADGATE_ENRICHER_MCP__REFERENCE__TOKEN", TOKEN)
        settings = Settings()
        assert settings.mcp["reference"].token == SecretStr(TOKEN)
        assert TOKEN not in f"{settings!r} {masked(settings)}"
        with offered(url=server.url, token=TOKEN) as tools:
            assert tools.refusal("say", name="x") is None
        with pytest.raises(UnavailableError) as caught, offered(url=server.url, token="wrong-" + TOKEN):
            pass
    assert TOKEN not in f"{caught.value} {caplog.text}"


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        ({"tools": ["a"]}, "either url or command"),
        ({"url": "http://x", "command": ["y"], "tools": ["a"]}, "either url or command"),
        ({"url": "ftp://x", "tools": ["a"]}, "match pattern"),
        ({"url": "http://x", "tools": []}, "at least 1 item"),
        ({"url": "http://x", "tools": ["a b"]}, "match pattern"),
        ({"url": "http://x", "tools": ["a"], "environment": {"A": "b"}}, "environment goes with command"),
        ({"command": ["x"], "tools": ["a"], "token": "t"}, "a token goes with url"),
        ({"url": "http://x", "tools": ["a"], "timeout_s": 60}, "less than or equal to 10"),
    ],
)
def test_settings_that_cannot_be_followed_are_refused(server: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        McpServer.model_validate(server)


def test_without_a_server_nothing_of_the_sdk_is_imported() -> None:
    program = "import sys, headgate_enricher.app; sys.exit('mcp' in sys.modules or 'jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - fixed
    thread = LoopThread("test")
    assert open_tools({}, thread, Metrics()) == OpenTools()
    thread.stop(5)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
