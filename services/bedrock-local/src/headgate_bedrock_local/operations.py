"""The ASGI application: Bedrock's operations on their own paths, everything else to the admin calls.

Operations are the hot path of load tests, so they are served without a framework's routing between them and the server.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headgate_bedrock_local.wire import Caller, Incoming, ServiceError, error_reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from headgate_bedrock_local.endpoint import Endpoint

    Operation = Callable[[Incoming, Caller], Awaitable[None]]

_TRANSPORT = "headgate.transport"
_ROOTS = ("/model/", "/guardrail/")
# An ARN has slashes once its escapes are decoded: a path's middle is the identifier, whatever is in it.
_MODEL = re.compile(r"/model/(.+)/([a-z-]+)", re.DOTALL)
_GUARDRAIL = re.compile(r"/guardrail/(.+)/version/[^/]+/(apply)", re.DOTALL)


class Connections(HttpToolsProtocol):
    """The server's side of a connection, which it hands to the application: a fault may want to reset it."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = {_TRANSPORT: {"transport": self.transport}}


class Operations:
    """Reads a request to its end and gives it to the operation of its path.

    Args:
        endpoint: Has the operations.
        admin: Takes what is no path of Bedrock's.
    """

    def __init__(self, endpoint: Endpoint, admin: ASGIApp) -> None:
        self._admin = admin
        self._operations: Mapping[str, Operation] = MappingProxyType(
            {
                "converse": endpoint.converse,
                "converse-stream": endpoint.converse_stream,
                "count-tokens": endpoint.count_tokens,
                "apply": endpoint.apply_guardrail,
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(_ROOTS):
            await self._admin(scope, receive, send)
            return
        caller = Caller(receive, send, scope["extensions"][_TRANSPORT]["transport"])
        path = _MODEL.fullmatch(scope["path"]) or _GUARDRAIL.fullmatch(scope["path"])
        operation = self._operations.get(path[2]) if path and scope["method"] == "POST" else None
        if path is None or operation is None:
            unknown = f"{scope['method']} {scope['path']} is no operation of this endpoint."
            await error_reply(ServiceError("UnknownOperationException", unknown)).send(caller)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _read(receive)
        await operation(Incoming(path[1], scope["method"], scope["raw_path"], headers, body), caller)


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
