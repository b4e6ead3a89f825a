"""Tokens of an OpenID Connect issuer: JSON Web Tokens, verified with the keys that the issuer publishes.

The rules: OpenID Connect Core 1.0, RFC 7519 and the best current practices of RFC 8725. Only RS256 and ES256 are taken.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import httpx
import jwt

from headgate_runtime.errors import UnavailableError
from headgate_runtime.identity import Identity, NotAuthenticatedError, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_runtime.config import OidcSettings

_log = logging.getLogger(__name__)

ALGORITHMS: Final = ("RS256", "ES256")
_LEEWAY_S: Final = 30
_REFRESH_S: Final = 600.0
# A token may name any key: whoever makes such up must not have us ask the issuer as often as they like.
_ASK_AGAIN_S: Final = 30.0
_TIMEOUT_S: Final = 3.0
_REQUIRED: Final = ("exp", "iat", "iss", "aud", "sub")
_DISCOVERY: Final = "/.well-known/openid-configuration"
_ROLES: Final = {role.name.lower(): role for role in Role}


class IssuerKeys:
    """The issuer's keys by id: asked for every ten minutes, and earlier for an id that is not known.

    Where the issuer does not answer, the keys that are known go on.
    """

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = (settings.issuer or "").rstrip("/")
        self._url = settings.jwks_url
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked_at = -_REFRESH_S
        self._failure: str | None = None

    def key(self, key_id: str) -> jwt.PyJWK:
        """Return the key of an id.

        Raises:
            NotAuthenticatedError: The issuer has no such key.
            UnavailableError: The issuer has never answered.
        """
        self._refresh(_ASK_AGAIN_S if key_id not in self._keys else _REFRESH_S)
        if key_id in self._keys:
            return self._keys[key_id]
        if self._failure is not None:
            raise UnavailableError(f"the issuer of tokens does not answer: {self._failure}")
        raise NotAuthenticatedError("the token is signed with a key that its issuer does not publish")

    def _refresh(self, age_s: float) -> None:
        """Ask for the keys where they were asked for so long ago; one thread does, and the others wait for it."""
        with self._lock:
            if self._clock() - self._asked_at < age_s:
                return
            self._asked_at = self._clock()
            try:
                self._keys = _usable(_get_json(self._url or self._discovered()))
                self._failure = None
            except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
                self._failure = f"{type(error).__name__}: {error}"
                _log.warning("the keys of %s are not to be had: %s; those known go on", self._issuer, self._failure)

    def _discovered(self) -> str:
        found = _get_json(self._issuer + _DISCOVERY)
        if found["issuer"].rstrip("/") != self._issuer:
            raise ValueError(f"{self._issuer} says that it is {found['issuer']}: set HTTP__OIDC__ISSUER right")
        return str(found["jwks_uri"])


class OidcVerifier:
    """A ``Verifier`` of the tokens of one issuer for one audience."""

    def __init__(self, settings: OidcSettings, keys: IssuerKeys) -> None:
        self._settings = settings
        self._keys = keys

    @classmethod
    def of(cls, settings: OidcSettings) -> OidcVerifier:
        """Verify with the keys that the issuer publishes; nothing is asked for before the first token."""
        return cls(settings, IssuerKeys(settings))

    def identify(self, token: str) -> Identity:
        """Say whose a token is; see ``Verifier``."""
        claims = self._claims(token)
        return Identity(str(claims["sub"]), _role(claims, self._settings.roles_claim))

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise NotAuthenticatedError("the token is neither the control token nor a JSON Web Token") from None
        if header.get("alg") not in ALGORITHMS:
            raise NotAuthenticatedError(f"a token has to be signed by one of {', '.join(ALGORITHMS)}")
        if not isinstance(header.get("kid"), str):
            raise NotAuthenticatedError("the token does not name its key (kid)")
        try:
            return jwt.decode(
                token,
                self._keys.key(header["kid"]),
                algorithms=list(ALGORITHMS),
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=_LEEWAY_S,
                options={"require": list(_REQUIRED)},
            )
        except jwt.PyJWTError as error:
            raise NotAuthenticatedError(f"the token is not accepted: {error}") from error


def _usable(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """The keys of a JSON Web Key Set that sign with an algorithm we take."""
    found = {}
    for each in document["keys"]:
        if each.get("use", "sig") == "sig" and each.get("kty") in {"RSA", "EC"} and "kid" in each:
            with suppress(jwt.PyJWTError):  # a kind of key that is not known here says nothing of the others
                key = jwt.PyJWK(each)
                if key.algorithm_name in ALGORITHMS:
                    found[each["kid"]] = key
    if not found:
        raise ValueError(f"it publishes no key with an id for {' or '.join(ALGORITHMS)}")
    return found


def _role(claims: Mapping[str, Any], path: str) -> Role | None:
    """The highest role in a claim, which is named as a whole or by the objects that lead to it."""
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
    names = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    return max((_ROLES[name] for name in names if isinstance(name, str) and name in _ROLES), default=None)


def _get_json(url: str) -> Any:
    return httpx.get(url, timeout=_TIMEOUT_S).raise_for_status().json()
