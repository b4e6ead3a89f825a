"""A real enricher with a real MCP server beside it: used, killed in the middle, and used again; decisions never stop."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from headgate_runtime.testing import eventually

from services.enricher.tests.mcp_process import HttpServer, calls, http_server
from tests.integration.enrichers import World, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers

EVENTS = 2_000  # for a few of which the local model asks the tool
MOST_ROUNDS = 6
TOOL = "reference.lookup_merchant."


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> Iterator[World]:
    world = World(topic_name("mcp"), tmp_path, stack)
    world.model.start()
    world.model.wait_ready()
    yield world
    world.model.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpServer]:
    with http_server(tmp_path / "mcp.jsonl", "a-token-of-this-test") as running_server:
        yield running_server


def test_decisions_go_on_while_a_tools_server_is_dead_and_the_tool_comes_back(
    world: World, server: HttpServer, tmp_path: Path
) -> None:
    configured = {"reference": {"url": server.url, "tools": ["lookup_merchant"], "timeout_s": 2.0}}
    token = {"MCP__REFERENCE__TOKEN": str(server.token)}
    enricher = world.enricher("enricher-0", MCP=json.dumps(configured), **token)
    with running(enricher):
        up = _said_of(world, "known")
        server.kill9()
        dead = _said_of(world, "unavailable")
        asked = len(calls(server.log, "lookup_merchant"))
        server.start()
        again = _said_of(world, "known")
    assert {"known": "true", "risk": "high", "years": "12"}.items() <= up.items()
    assert up["note"].endswith(" characters")
    assert dead["unavailable"] == "away"
    assert again["risk"] == "high"
    assert len(calls(server.log, "lookup_merchant")) > asked
    assert calls(server.log, "unlisted") == []
    world.assert_exactly_once()
    log = (tmp_path / "run" / "enricher-0.log").read_text("utf-8")
    assert str(server.token) not in log
    assert "jo@example.org" not in log


def _said_of(world: World, field: str) -> dict[str, str]:
    """Send events until the record of one has a field of the external tool; all that records have of it by then."""
    for _ in range(MOST_ROUNDS):
        before = set(world.sent)
        world.produce(EVENTS)
        eventually(lambda: world.written() >= len(world.sent) and world.committed() >= len(world.sent), 90)
        said = _said([event for event in world.decided() if event["event_id"] not in before])
        if field in said:
            return said
    raise AssertionError(f"no record says {field} of the tool")


def _said(events: list[dict[str, Any]]) -> dict[str, str]:
    """What records say of the external tool, by field."""
    pieces = [each for event in events for each in event["agent_metadata"]["evidence"] if each["source"] == "tool"]
    return {each["name"].removeprefix(TOOL): each["value"] for each in pieces if each["name"].startswith(TOOL)}
