"""Who may use an endpoint: the holder of the control token, or somebody with a role. Every attempt leaves an audit line."""

from __future__ import annotations

import hashlib
import hmac
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final

import structlog
from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from headgate_runtime.errors import ConfigurationError, UnavailableError
from headgate_runtime.identity import NotAuthenticatedError, Role
from headgate_runtime.secret_files import read_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_runtime.config import HttpSettings
    from headgate_runtime.identity import Identity, Verifier

_log = structlog.get_logger(__name__)
_audit = structlog.get_logger("headgate.audit")
_bearer = HTTPBearer(
    auto_error=False,
    description="The token in the file HEADGATE_<SERVICE>_HTTP__CONTROL_TOKEN_FILE, or one of HEADGATE_<SERVICE>_HTTP__OIDC__ISSUER.",
)
_TOKEN_SETTING: Final = "HTTP__CONTROL_TOKEN_FILE"  # noqa: S105 - the name of a setting
_LEAST_TOKEN_CHARACTERS: Final = 16
_LOOK_S: Final = 1.0
_NO_TOKEN: Final = "none"  # noqa: S105 - stands where there is none


class Problem(BaseModel):
    """Why a request was refused, and what to do."""

    detail: str


REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Problem, "description": "No bearer token was given, or it proves nothing."},
    403: {"model": Problem, "description": "The token gives no right to this, or this service takes none."},
    503: {"model": Problem, "description": "The issuer of tokens does not answer."},
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        token: First digits of the token's SHA-256: tells tokens apart and gives nothing away.
        address: Address of the client's connection.
        subject: Who it is by the issuer's word; None where it is the holder of the control token, or not known.
    """

    token: str
    address: str
    subject: str | None = None


class TokenFile:
    """The control token as its file has it now; looked at once a second at most, while it is asked for."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read it.

        Raises:
            ConfigurationError: The file cannot be read or its token is too short to be a secret.
        """
        self._path = path
        self._clock = clock
        self._token: str | None = self._read()
        self._looked_at = clock()

    def __call__(self) -> str | None:
        """Return the token; None where the file is not usable any more: then nobody holds it."""
        if self._clock() - self._looked_at >= _LOOK_S:
            try:
                self._token = self._read()
            except ConfigurationError as error:
                self._token = None
                _log.warning("no control token is taken", reason=str(error))
            self._looked_at = self._clock()
        return self._token

    def _read(self) -> str:
        token = read_secret(self._path, _TOKEN_SETTING)
        if len(token) < _LEAST_TOKEN_CHARACTERS:
            raise ConfigurationError(
                f"{self._path}: a control token has at least {_LEAST_TOKEN_CHARACTERS} characters; "
                "make one with `openssl rand -hex 32`"
            )
        return token


class ControlAuth:
    """Guards the endpoints of an application: a parameter ``caller: ControlCaller`` lets only operators in."""

    def __init__(self, token: str | Callable[[], str | None] | None, verifier: Verifier | None = None) -> None:
        """Guard with a control token, or what gives it, and with tokens that somebody verifies; without both all are refused."""
        self._token = token if callable(token) else lambda: token
        self._verifier = verifier

    @classmethod
    def from_settings(cls, settings: HttpSettings) -> ControlAuth:
        """Guard as the settings say.

        Raises:
            ConfigurationError: The token's file cannot be read or its token is too short to be a secret.
        """
        token = None if settings.control_token_file is None else TokenFile(settings.control_token_file)
        if settings.oidc.issuer is None:
            return cls(token)
        from headgate_runtime.oidc import OidcVerifier  # noqa: PLC0415 - cryptography is for those who use it

        return cls(token, OidcVerifier.of(settings.oidc))

    def admit(self, request: Request, credentials: HTTPAuthorizationCredentials | None, needed: Role) -> Caller:
        """Let a caller in who has at least the role, or refuse with 401, 403 or 503 and say so in the audit log."""
        caller = Caller(_fingerprint(credentials), request.client.host if request.client else "unknown")
        if credentials is None:
            raise _refusal(request, caller, HTTPStatus.UNAUTHORIZED, "Send a token: `Authorization: Bearer <token>`.")
        token = self._token()
        if token is not None and hmac.compare_digest(credentials.credentials.encode(), token.encode()):
            return caller
        if self._verifier is not None:
            identity = _identified(self._verifier, request, caller, credentials.credentials)
            return _with_role(request, replace(caller, subject=identity.subject), identity, needed)
        if token is None:
            raise _refusal(
                request,
                caller,
                HTTPStatus.FORBIDDEN,
                "Control is switched off: this service has no token. Point its setting HTTP__CONTROL_TOKEN_FILE "
                "(with the service's prefix) to a file that holds one, and restart it.",
            )
        raise _refusal(request, caller, HTTPStatus.FORBIDDEN, "This is not the control token of this service.")


def _identified(verifier: Verifier, request: Request, caller: Caller, token: str) -> Identity:
    try:
        return verifier.identify(token)
    except NotAuthenticatedError as error:
        raise _refusal(request, caller, HTTPStatus.UNAUTHORIZED, f"{error}.") from error
    except UnavailableError as error:
        raise _refusal(request, caller, HTTPStatus.SERVICE_UNAVAILABLE, f"{error}.") from error


def _with_role(request: Request, caller: Caller, identity: Identity, needed: Role) -> Caller:
    if identity.role is None or identity.role < needed:
        has = "none that is known here" if identity.role is None else identity.role.name.lower()
        told = f"This takes the role {needed.name.lower()}; the token's is {has}."
        raise _refusal(request, caller, HTTPStatus.FORBIDDEN, told)
    return caller


def require(role: Role) -> Callable[..., Caller]:
    """Make a FastAPI dependency that lets in who has at least a role; the holder of the control token has every one."""

    def admitted(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Caller:
        auth: ControlAuth = request.app.state.control_auth
        return auth.admit(request, credentials, role)

    return admitted


require_operator = require(Role.OPERATOR)
ControlCaller = Annotated[Caller, Depends(require_operator)]


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
    who = {"token": caller.token, "subject": caller.subject, "client": caller.address}
    _audit.info("control", action=action, outcome=outcome, **who, **details)


def _refusal(request: Request, caller: Caller, status: HTTPStatus, detail: str) -> HTTPException:
    _write(caller, f"{request.method} {request.url.path}", "refused", status=status.value)
    challenge = {"WWW-Authenticate": _challenge(caller)} if status is HTTPStatus.UNAUTHORIZED else None
    return HTTPException(status.value, detail, challenge)


def _challenge(caller: Caller) -> str:
    return "Bearer" if caller.token == _NO_TOKEN else 'Bearer error="invalid_token"'


def _fingerprint(credentials: HTTPAuthorizationCredentials | None) -> str:
    return hashlib.sha256(credentials.credentials.encode()).hexdigest()[:12] if credentials else _NO_TOKEN
