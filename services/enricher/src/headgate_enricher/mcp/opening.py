"""Opens the tools of the configured MCP servers at start; without any, nothing of the SDK is imported."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from headgate_schemas.agent import ExternalTool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.metrics import Metrics

    from headgate_enricher.loop_thread import LoopThread
    from headgate_enricher.mcp.connection import Connection
    from headgate_enricher.mcp.settings import McpServer

OPENING_S = 30.0


@dataclass(frozen=True, slots=True)
class OpenTools:
    """External tools, and the connections behind them.

    Attributes:
        tools: What the agent may offer to a model.
    """

    tools: tuple[ExternalTool, ...] = ()
    connections: tuple[Connection, ...] = ()

    async def aclose(self) -> None:
        """Leave every session."""
        await asyncio.gather(*(connection.aclose() for connection in self.connections))


def open_tools(servers: Mapping[str, McpServer], thread: LoopThread, metrics: Metrics) -> OpenTools:
    """Connect to the servers and take their tools.

    Args:
        servers: By their name.
        thread: Whose event loop the connections live on, and the tools are called on.
        metrics: The service's registry.

    Raises:
        ConfigurationError: A tool on an allow-list cannot be offered.
        UnavailableError: A server does not answer.
    """
    if not servers:
        return OpenTools()
    return thread.run(_open(servers, metrics), OPENING_S)


async def _open(servers: Mapping[str, McpServer], metrics: Metrics) -> OpenTools:
    from headgate_enricher.mcp.connection import Connection  # noqa: PLC0415 - the SDK takes a second to import
    from headgate_enricher.mcp.metrics import McpMetrics  # noqa: PLC0415 - goes with it
    from headgate_enricher.mcp.transport import quieten  # noqa: PLC0415 - the same

    quieten()
    shown = McpMetrics(metrics)
    opened = OpenTools(connections=tuple(Connection(name, server, shown) for name, server in servers.items()))
    try:
        await asyncio.gather(*(connection.open() for connection in opened.connections))
    except BaseException:
        await opened.aclose()
        raise
    return OpenTools(tuple(tool for each in opened.connections for tool in _tools(each)), opened.connections)


def _tools(connection: Connection) -> list[ExternalTool]:
    return [
        ExternalTool(
            name=f"{connection.name}__{listed.name}",
            label=f"{connection.name}.{listed.name}",
            description=listed.description,
            arguments=listed.arguments,
            results=listed.results,
            call=partial(connection.call, listed.name),
        )
        for listed in connection.listed
    ]
