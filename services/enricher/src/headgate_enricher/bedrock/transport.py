"""One attempt of Converse over aiohttp."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError, create_parser
from yarl import URL

from headgate_enricher.bedrock.request import OPERATION, PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import ServiceModel

    from headgate_enricher.bedrock.request import ConverseRequest
    from headgate_enricher.bedrock.signing import Signer

_KEEPALIVE_S = 50.0
_OK = 200
_FIRST_ERROR_STATUS = 300
_PLAIN_BLOCKS = frozenset({"text", "toolUse"})


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Limits of the connections.

    Attributes:
        timeout_s: Longest time of one attempt, from the wait for a connection to the last byte.
        connect_timeout_s: Longest time to open a connection.
        max_connections: Connections open at the same time.
    """

    timeout_s: float
    connect_timeout_s: float
    max_connections: int


class ConverseTransport:
    """Sends Converse requests through one pool of connections, which belongs to the event loop that calls it.

    Args:
        endpoint_url: Scheme, host and port.
        service_model: botocore's model of ``bedrock-runtime``.
        signer: Authenticates each request.
        limits: Limits of the connections.
    """

    def __init__(self, endpoint_url: str, service_model: ServiceModel, signer: Signer, limits: TransportLimits) -> None:
        self._endpoint_url = endpoint_url.rstrip("/")
        self._output = service_model.operation_model(OPERATION).output_shape
        self._parser = create_parser(PROTOCOL)
        self._targets: dict[str, URL] = {}
        self._signer = signer
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return self._in_flight

    async def converse(self, request: ConverseRequest, headers: Mapping[str, str], left_s: float) -> dict[str, Any]:
        """Send one request and wait for its answer; cancelling closes the connection and frees its place.

        Args:
            request: The request.
            headers: Headers to send besides those of the protocol.
            left_s: Seconds the caller has left.

        Raises:
            ClientError: The endpoint answered with an error.
            TimeoutError: No answer in time.
            aiohttp.ClientError: No connection, or one that broke.
        """
        target = self._target(request.path)
        accept = {**request.headers, "Accept": "application/json", **headers}
        signed = await self._signer.sign(str(target), accept, request.body)
        limit_s = min(self._limits.timeout_s, left_s)
        timeout = aiohttp.ClientTimeout(total=limit_s, sock_connect=self._limits.connect_timeout_s)
        self._in_flight += 1
        try:
            async with self._pool().post(
                target, data=request.body, headers=signed, timeout=timeout, allow_redirects=False
            ) as response:
                return self._read(response.status, response.headers, await response.read())
        finally:
            self._in_flight -= 1

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _target(self, path: str) -> URL:
        target = self._targets.get(path)
        if target is None:
            # encoded: the escapes in the path are part of the signature, and an ARN's must reach the endpoint as signed.
            target = self._targets[path] = URL(f"{self._endpoint_url}{path}", encoded=True)
        return target

    def _pool(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            connector = aiohttp.TCPConnector(limit=self._limits.max_connections, keepalive_timeout=_KEEPALIVE_S)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            self._loop = loop
        return self._session

    def _read(self, status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        # Header names in lower case: botocore looks for x-amzn-errortype as it is.
        received = {name.lower(): value for name, value in headers.items()}
        parsed = read_plain(status, received, body)
        if parsed is None:
            answer = {"status_code": status, "headers": received, "body": body}
            try:
                parsed = self._parser.parse(answer, self._output)
            except ResponseParserError as error:
                raise unreadable() from error
        if status >= _FIRST_ERROR_STATUS:
            raise ClientError(parsed, OPERATION)
        if "output" not in parsed or "usage" not in parsed:
            raise unreadable()
        return parsed


def unreadable() -> aiohttp.ClientPayloadError:
    """The error of an answer that came and cannot be read."""
    return aiohttp.ClientPayloadError("The endpoint answered with something else than a Converse answer.")


def read_plain(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any] | None:
    """An answer of text and tool calls, as botocore reads it; None where only botocore knows, as with blobs."""
    if status != _OK:
        return None
    try:
        parsed = orjson.loads(body)
        blocks = parsed["output"]["message"]["content"]
        if not all(block.keys() <= _PLAIN_BLOCKS for block in blocks) or not isinstance(parsed["usage"], dict):
            return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    parsed["ResponseMetadata"] = {
        "RequestId": headers.get("x-amzn-requestid", ""),
        "HTTPStatusCode": status,
        "HTTPHeaders": headers,
    }
    answer: dict[str, Any] = parsed
    return answer
