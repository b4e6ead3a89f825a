"""An OpenID Connect issuer on this machine: real keys, a real HTTP server, and tokens as a test wants them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from headgate_runtime.testing.json_server import JsonServer

if TYPE_CHECKING:
    from collections.abc import Mapping

AUDIENCE: Final = "headgate"
LIFETIME_S: Final = 300


class LocalIssuer(JsonServer):
    """Serves discovery and keys while it is entered; its address is its name.

    Attributes:
        keys: Private keys that it publishes, by id.
        answers: Whether it answers; else every request fails with 503.
    """

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {}
        self.answers = True

    def add_key(self, key_id: str, algorithm: str = "ES256") -> None:
        """Make a key for RS256 or ES256, and publish it."""
        if algorithm == "RS256":
            self.keys[key_id] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        else:
            self.keys[key_id] = ec.generate_private_key(ec.SECP256R1())

    def token(self, key_id: str, *, roles: list[str] | None = None, **claims: Any) -> str:
        """Sign a token with a published key; further claims replace those it has by itself, and None leaves one out."""
        now = int(time.time())
        own = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "alex",
            "iat": now,
            "exp": now + LIFETIME_S,
            "roles": roles or [],
        }
        said = {name: value for name, value in {**own, **claims}.items() if value is not None}
        key = self.keys[key_id]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(said, key, algorithm, headers={"kid": key_id})

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, Any]:  # noqa: ARG002 - all may read it
        """Return the discovery document or the keys."""
        if not self.answers:
            return 503, {}
        if path.endswith("openid-configuration"):
            return 200, {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        return 200, {"keys": [self._public(key_id) for key_id in self.keys]}

    def _public(self, key_id: str) -> dict[str, Any]:
        key = self.keys[key_id]
        if isinstance(key, rsa.RSAPrivateKey):
            found = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        else:
            found = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {**found, "kid": key_id, "use": "sig"}
