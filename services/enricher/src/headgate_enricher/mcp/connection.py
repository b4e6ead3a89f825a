"""A session with one MCP server, kept up in the background, and calls within their time."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog
from headgate_runtime.errors import ConfigurationError, UnavailableError
from headgate_schemas.agent import ToolArgumentsError, ToolUnavailableError
from jsonschema.exceptions import best_match
from mcp import MCPError
from mcp.types import CONNECTION_CLOSED, INVALID_REQUEST, TextContent

from headgate_enricher.mcp.listing import Listed, list_tools
from headgate_enricher.mcp.transport import connected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema.protocols import Validator
    from mcp import Client
    from mcp.types import CallToolResult

    from headgate_enricher.mcp.metrics import McpMetrics
    from headgate_enricher.mcp.settings import McpServer

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 3.0
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 15.0
MOST_ANSWER_BYTES = 16 << 10
# A server that lets so many calls in a row run out of time may be stuck: it gets a new session.
MOST_TIMEOUTS = 5
_SESSION_LOST: Final = frozenset({CONNECTION_CLOSED, INVALID_REQUEST})

logger = structlog.get_logger(__name__)


class Connection:
    """Keeps a session with a server; lives on the model thread's event loop.

    A session is entered and left by one task, as anyio wants it; calls come from any.

    Args:
        name: The server's name.
        server: How to reach it, and what it may be asked.
        metrics: Metrics.
    """

    def __init__(self, name: str, server: McpServer, metrics: McpMetrics) -> None:
        self.name = name
        self._server = server
        self._metrics = metrics
        self._client: Client | None = None
        self._lost = asyncio.Event()
        self._timeouts = 0
        self._task: asyncio.Task[None] | None = None
        self.listed: tuple[Listed, ...] = ()

    async def open(self) -> None:
        """Connect, take the server's tools as they are from now on, and keep the session up.

        Raises:
            ConfigurationError: A tool on the allow-list cannot be offered.
            UnavailableError: The server does not answer.
        """
        opened: asyncio.Future[tuple[Listed, ...]] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep(opened))
        try:
            self.listed = await opened
        except Exception as error:
            for refusal in _leaves(error):
                if isinstance(refusal, ConfigurationError):
                    raise refusal from None
            raise UnavailableError(
                f"MCP server {self.name!r} at {self._server.place} does not answer ({_kind(error)}): start it, see to "
                "its token, or take it out of HEADGATE_ENRICHER_MCP."
            ) from error
        self._validators = {tool.name: tool.validator() for tool in self.listed}

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call a tool of the allow-list.

        Raises:
            ToolArgumentsError: Its schema does not take the arguments; nothing was sent.
            ToolUnavailableError: There is no answer that can be used.
        """
        began_s = time.monotonic()
        outcome = "cancelled"
        try:
            _check(self._validators[tool], arguments)
            answer = await self._call(tool, arguments)
            outcome = "answered"
        except ToolArgumentsError:
            outcome = "arguments"
            raise
        except ToolUnavailableError as error:
            outcome = error.reason
            raise
        finally:
            self._metrics.called(f"{self.name}.{tool}", outcome, time.monotonic() - began_s)
        return answer

    async def aclose(self) -> None:
        """Leave the session, and end the process where it was started here."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_TIMEOUT_S)

    async def _call(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        client = self._client
        if client is None:
            raise ToolUnavailableError("away")
        try:
            async with asyncio.timeout(self._server.timeout_s):
                result = await client.call_tool(tool, dict(arguments))
        except TimeoutError as error:
            self._timeouts += 1
            if self._timeouts >= MOST_TIMEOUTS:
                self._lost.set()
            raise ToolUnavailableError("timeout") from error
        except Exception as error:
            raise ToolUnavailableError(self._reason(error)) from error
        self._timeouts = 0
        return _answer(result)

    def _reason(self, error: Exception) -> str:
        """Why a call failed; a session that is lost is made anew."""
        if isinstance(error, RuntimeError | ValueError):
            return "invalid_answer"  # of another shape than the tool's schema or the protocol has it
        if isinstance(error, MCPError) and error.code not in _SESSION_LOST:
            return "error"
        self._lost.set()
        return "away"

    async def _keep(self, opened: asyncio.Future[tuple[Listed, ...]]) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            began_s = time.monotonic()
            try:
                await self._hold(opened)
            except Exception as error:  # noqa: BLE001 - whatever ends a session, the next one is tried
                if not opened.done():
                    opened.set_exception(error)
                    return
                logger.warning("no session with an MCP server", server=self.name, error=_kind(error))
            except BaseException:
                opened.cancel()
                raise
            if time.monotonic() - began_s > LONGEST_WAIT_S:
                wait_s = FIRST_WAIT_S
            await asyncio.sleep(random.uniform(wait_s / 2, wait_s))  # noqa: S311 - jitter is no secret
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _hold(self, opened: asyncio.Future[tuple[Listed, ...]]) -> None:
        """Hold one session until it is lost."""
        self._lost.clear()
        self._timeouts = 0
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S) as limit, connected(self._server) as client:
                listed = await list_tools(client, self.name, self._server.tools)
                if not opened.done():
                    opened.set_result(listed)
                elif listed != self.listed:
                    raise ConfigurationError("its tools have changed: start the enricher again to take them")
                limit.reschedule(None)
                self._client = client
                self._metrics.up(self.name, is_up=True)
                logger.info("session with an MCP server", server=self.name, place=self._server.place)
                await self._lost.wait()
                self._client = None
                limit.reschedule(asyncio.get_running_loop().time() + CLOSE_TIMEOUT_S)
        finally:
            self._client = None
            self._metrics.up(self.name, is_up=False)


def _check(validator: Validator, arguments: Mapping[str, Any]) -> None:
    problem = best_match(validator.iter_errors(arguments))
    if problem is not None:
        place = ".".join(str(part) for part in problem.absolute_path) or "arguments"
        raise ToolArgumentsError(f"{place}: {problem.message}")


def _answer(result: CallToolResult) -> Mapping[str, Any]:
    if result.is_error:
        raise ToolUnavailableError("error")
    answer: Any = result.structured_content
    if answer is None:
        answer = {"text": "\n".join(part.text for part in result.content if isinstance(part, TextContent))}
    try:
        size = len(orjson.dumps(answer))
    except TypeError as error:
        raise ToolUnavailableError("invalid_answer") from error
    if size > MOST_ANSWER_BYTES:
        raise ToolUnavailableError("too_large")
    if not isinstance(answer, dict):
        raise ToolUnavailableError("invalid_answer")
    return answer


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors of a group, and of the groups in it; the SDK's task groups make one of most."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _kind(error: BaseException) -> str:
    """Classes of errors; of their texts only ours, for another's may quote anything."""
    found = (str(leaf) if isinstance(leaf, ConfigurationError) else type(leaf).__name__ for leaf in _leaves(error))
    return ", ".join(sorted(set(found)))
