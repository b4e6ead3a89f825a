"""How a server is reached: over HTTP with a token and a bound on what it may answer, or as a process."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from headgate_enricher.mcp.settings import McpServer

MOST_BYTES = 1 << 20
"""Longest HTTP answer that is read."""
_IDLE_S = 300.0  # of a stream on which a server may say something at any time
_CONNECT_S = 5.0


def quieten() -> None:
    """Keep the SDK from logging: it quotes what servers say, and its HTTP client every address it calls."""
    for library in ("mcp", "httpx2", "httpcore2"):
        logging.getLogger(library).setLevel(logging.CRITICAL)


@asynccontextmanager
async def connected(server: McpServer) -> AsyncIterator[Client]:
    """A session with a server, for as long as the block lasts.

    Raises:
        Exception: It cannot be had, or it broke inside of the block.
    """
    if server.url is None:
        command, *arguments = server.command
        environment = {name: value.get_secret_value() for name, value in server.environment.items()}
        process = StdioServerParameters(command=command, args=arguments, env=environment)
        async with Client(process, cache=None) as client:
            yield client
        return
    headers = {"Authorization": f"Bearer {server.token.get_secret_value()}"} if server.token is not None else {}
    timeout = httpx2.Timeout(_IDLE_S, connect=_CONNECT_S)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, event_hooks={"response": [_bound]}) as http,
        Client(
            streamable_http_client(server.url, http_client=http, max_sse_event_size=MOST_BYTES), cache=None
        ) as client,
    ):
        yield client


async def _bound(response: httpx2.Response) -> None:
    if response.request.method == "POST" and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Bounded(response.stream)


class _Bounded(httpx2.AsyncByteStream):
    """A body that breaks off where it is longer than what is read."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MOST_BYTES
        async for chunk in self._body:
            left -= len(chunk)
            if left < 0:
                raise httpx2.ReadError("the answer is too long")
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()
