"""What every answer of the Bedrock Runtime has in common on the wire: error shapes, identifiers, broken answers."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

# Status of each modelled exception of the service, and of the four its front door raises before a model is looked at.
STATUS: Mapping[str, int] = {
    "AccessDeniedException": 403,
    "IncompleteSignatureException": 403,
    "InternalServerException": 500,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "ModelErrorException": 424,
    "ModelTimeoutException": 408,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "UnrecognizedClientException": 403,
    "ValidationException": 400,
}


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


def json_response(payload: Mapping[str, Any]) -> Response:
    """A 200 with a JSON body and a request id."""
    return Response(orjson.dumps(payload), media_type="application/json", headers={"x-amzn-requestid": request_id()})


def error_response(error: ServiceError) -> Response:
    """The error as the service sends it: the code in ``x-amzn-errortype``, the text in a JSON body."""
    headers = {
        "x-amzn-requestid": request_id(),
        "x-amzn-errortype": f"{error.code}:http://internal.amazon.com/coral/com.amazon.bedrock/",
    }
    if error.retry_after_s is not None:
        headers["retry-after"] = f"{error.retry_after_s:g}"
    body = orjson.dumps({"message": error.message})
    return Response(body, STATUS[error.code], headers, media_type="application/json")


def request_id() -> str:
    """A fresh identifier of one answer."""
    return str(uuid.uuid4())


class BrokenResponse(Response):
    """Sends the first half of its body and ends, so that the server closes the connection in the middle."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (the ASGI signature)
        """Announce the whole length, deliver half of it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
