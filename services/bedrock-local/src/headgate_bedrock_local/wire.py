"""What every answer of the Bedrock Runtime has in common on the wire: error codes, identifiers, and how it is sent."""

from __future__ import annotations

import os
import socket
import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from starlette.types import Receive, Send

# Status of each modelled exception of the service, and of the five its front door raises before a model is looked at.
STATUS: Mapping[str, int] = {
    "AccessDeniedException": 403,
    "IncompleteSignatureException": 403,
    "InternalServerException": 500,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelTimeoutException": 408,
    "ResourceNotFoundException": 404,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 403,
    "ValidationException": 400,
}
JSON = b"application/json"

_CLOSE_WITH_RESET = struct.pack("ii", 1, 0)


class ServiceError(Exception):
    """A call that ends in an error of the service.

    Attributes:
        code: Exception name as the service model has it, a key of :data:`STATUS`.
        message: Text for the caller.
        retry_after_s: Seconds for the Retry-After header; None sends none, as the real service mostly does.
    """

    def __init__(self, code: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request of one operation, read to its end.

    Attributes:
        identifier: Model or guardrail the path names, decoded.
        method: HTTP method.
        raw_path: Path as it came, escapes and all: what a signature is about.
        headers: Values by name in lower case.
        body: The body.
    """

    identifier: str
    method: str
    raw_path: bytes
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Caller:
    """The other end of a request: ASGI's two calls, and the connection beneath them."""

    receive: Receive
    send: Send
    transport: asyncio.Transport

    async def gone(self) -> None:
        """Wait until the caller has left."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


class Reply(Protocol):
    """What is sent back, or not."""

    async def send(self, caller: Caller) -> None:
        """Send it."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A response with its body.

    Attributes:
        body: All of it.
        status: HTTP status.
        media_type: Its content type.
        headers: Headers besides type, length and request id.
        sized: Whether its length is announced; a stream goes out in chunks.
        cut: Whether it ends in the middle, and the connection with it.
    """

    body: bytes
    status: int = 200
    media_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    sized: bool = True
    cut: bool = False

    async def send(self, caller: Caller) -> None:
        """Send all of it, or its first half; the server closes a connection whose response has not ended."""
        headers = [(b"content-type", self.media_type), (b"x-amzn-requestid", request_id().encode()), *self.headers]
        if self.sized:
            headers.append((b"content-length", str(len(self.body)).encode()))
        await caller.send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = self.body[: len(self.body) // 2] if self.cut else self.body
        await caller.send({"type": "http.response.body", "body": body, "more_body": self.cut})


class Reset:
    """No response: the connection is reset."""

    async def send(self, caller: Caller) -> None:
        """Close it so that the caller's next read fails, instead of ending."""
        # The loop's own socket object may not take options; a duplicate shares them.
        with socket.socket(fileno=os.dup(caller.transport.get_extra_info("socket").fileno())) as twin:
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_WITH_RESET)
        caller.transport.abort()
        await caller.gone()


class Hang:
    """No response, until the caller gives up."""

    async def send(self, caller: Caller) -> None:
        """Wait."""
        await caller.gone()


def json_reply(payload: Mapping[str, Any], *, cut: bool = False) -> Whole:
    """A 200 with a JSON body."""
    return Whole(orjson.dumps(payload), cut=cut)


def error_reply(error: ServiceError) -> Whole:
    """The error as the service sends it: the code in ``x-amzn-errortype``, the text in a JSON body."""
    kind = f"{error.code}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    headers = [(b"x-amzn-errortype", kind.encode())]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", f"{error.retry_after_s:g}".encode()))
    return Whole(orjson.dumps({"message": error.message}), STATUS[error.code], headers=tuple(headers))


def request_id() -> str:
    """A fresh identifier of one answer."""
    return str(uuid.uuid4())
