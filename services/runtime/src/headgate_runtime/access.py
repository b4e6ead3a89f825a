"""Who may use a control endpoint: the holder of the bearer token. Every attempt leaves an audit line."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final

import structlog
from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from headgate_runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_audit = structlog.get_logger("headgate.audit")
_bearer = HTTPBearer(auto_error=False, description="The token in the file HEADGATE_<SERVICE>_HTTP__CONTROL_TOKEN_FILE.")
_LEAST_TOKEN_CHARACTERS: Final = 16


class Problem(BaseModel):
    """Why a request was refused, and what to do."""

    detail: str


REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Problem, "description": "No bearer token was given."},
    403: {"model": Problem, "description": "The token is wrong, or this service has none configured."},
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        token: First digits of the token's SHA-256: tells tokens apart and gives nothing away.
        address: Address of the client's connection.
    """

    token: str
    address: str


class ControlAuth:
    """Guards the endpoints of an application: a parameter ``caller: ControlCaller`` lets only the token's holder in."""

    def __init__(self, token: str | None) -> None:
        """Guard with a token; None refuses everybody, with a text that says how to configure one."""
        self._token = token

    @classmethod
    def from_file(cls, path: Path | None) -> ControlAuth:
        """Read the token from a file; surrounding white space does not count.

        Raises:
            ConfigurationError: The file cannot be read or its token is too short to be a secret.
        """
        if path is None:
            return cls(None)
        try:
            token = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot read the control token file: {error}") from error
        if len(token) < _LEAST_TOKEN_CHARACTERS:
            raise ConfigurationError(
                f"{path}: a control token has at least {_LEAST_TOKEN_CHARACTERS} characters; "
                "make one with `openssl rand -hex 32`"
            )
        return cls(token)

    def admit(self, request: Request, credentials: HTTPAuthorizationCredentials | None) -> Caller:
        """Let the caller in, or refuse with 401 or 403 and say so in the audit log."""
        caller = Caller(_fingerprint(credentials), request.client.host if request.client else "unknown")
        if credentials is None:
            raise _refusal(
                request, caller, HTTPStatus.UNAUTHORIZED, "Send the control token: `Authorization: Bearer <token>`."
            )
        if self._token is None:
            raise _refusal(
                request,
                caller,
                HTTPStatus.FORBIDDEN,
                "Control is switched off: this service has no token. Point its setting HTTP__CONTROL_TOKEN_FILE "
                "(with the service's prefix) to a file that holds one, and restart it.",
            )
        if not hmac.compare_digest(credentials.credentials.encode(), self._token.encode()):
            raise _refusal(request, caller, HTTPStatus.FORBIDDEN, "This is not the control token of this service.")
        return caller


def require_token(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """Guard an endpoint with the ``ControlAuth`` its application was made with; a FastAPI dependency."""
    auth: ControlAuth = request.app.state.control_auth
    return auth.admit(request, credentials)


ControlCaller = Annotated[Caller, Depends(require_token)]


@contextmanager
def audited(caller: Caller, action: str, **details: object) -> Iterator[None]:
    """Write an audit line about what happens inside: ``done``, or ``failed`` where it raises.

    Args:
        caller: Who asked.
        action: What was asked.
        details: What to say about it; no payload values.
    """
    try:
        yield
    except Exception as error:
        _write(caller, action, "failed", error=type(error).__name__, **details)
        raise
    _write(caller, action, "done", **details)


def _write(caller: Caller, action: str, outcome: str, **details: object) -> None:
    _audit.info("control", action=action, outcome=outcome, token=caller.token, client=caller.address, **details)


def _refusal(request: Request, caller: Caller, status: HTTPStatus, detail: str) -> HTTPException:
    _write(caller, f"{request.method} {request.url.path}", "refused", status=status.value)
    challenge = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else None
    return HTTPException(status.value, detail, challenge)


def _fingerprint(credentials: HTTPAuthorizationCredentials | None) -> str:
    return hashlib.sha256(credentials.credentials.encode()).hexdigest()[:12] if credentials else "none"
