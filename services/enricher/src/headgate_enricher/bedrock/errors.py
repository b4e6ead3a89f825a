"""What went wrong with a model call, as a reason code: the edge where the libraries' errors get a meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import aiohttp
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as BotocoreConnectionError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Reason = Literal["throttled", "timeout", "unavailable", "model_error", "denied", "invalid_request", "unknown"]

_BY_STATUS: Mapping[int, Reason] = {
    401: "denied",
    402: "denied",
    403: "denied",
    404: "denied",
    408: "timeout",
    424: "model_error",
    429: "throttled",
}
_FIRST_CLIENT_ERROR = 400
_FIRST_SERVER_ERROR = 500

# The first class an error is an instance of counts: a time-out is also a connection error in both libraries.
_BY_TYPE: tuple[tuple[type[BaseException], Reason], ...] = (
    (TimeoutError, "timeout"),
    (ConnectTimeoutError, "timeout"),
    (ReadTimeoutError, "timeout"),
    (NoCredentialsError, "denied"),
    (CredentialRetrievalError, "denied"),
    (TokenRetrievalError, "denied"),
    (ParamValidationError, "invalid_request"),
    (aiohttp.InvalidURL, "invalid_request"),
    (HTTPClientError, "unavailable"),
    (BotocoreConnectionError, "unavailable"),
    (aiohttp.ClientError, "unavailable"),
    (OSError, "unavailable"),
)


def classify(error: BaseException) -> Reason:
    """The reason code of an error a model call raised.

    ``denied`` covers what an operator has to mend: credentials, access, an exhausted account, a model
    that does not exist (401, 402, 403, 404).
    ``invalid_request`` will fail again as it is; the others may pass.
    """
    if isinstance(error, ClientError):
        return _of_status(int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)))
    return next((reason for kind, reason in _BY_TYPE if isinstance(error, kind)), "unknown")


def _of_status(status: int) -> Reason:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= _FIRST_SERVER_ERROR:
        return "unavailable"
    return "invalid_request" if status >= _FIRST_CLIENT_ERROR else "unknown"
