"""The Authorization header: SigV4 or a bearer token, as the service's front door reads it."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

from headgate_bedrock_local.wire import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_bedrock_local.wire import Incoming

_ALGORITHM = "AWS4-HMAC-SHA256"
_SIGV4 = re.compile(
    rf"{_ALGORITHM} Credential=(?P<key>[^/\s]+)/(?P<date>\d{{8}})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)"
    r"/aws4_request, ?SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_BEARER = re.compile(r"Bearer \S+")


class Authenticator:
    """Checks that a request carries credentials, and the signature where the access key's secret is known.

    Args:
        secrets: Secret by access key. Empty takes any well-formed Authorization header, which is what a laptop wants.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets

    def check(self, request: Incoming) -> None:
        """Check one request.

        Raises:
            ServiceError: A 403 that tells a missing, a malformed, an unknown and a wrong signature apart.
        """
        header = request.headers.get("authorization", "")
        if not header:
            raise ServiceError("MissingAuthenticationTokenException", "Missing authentication token.")
        if not self._secrets and _BEARER.fullmatch(header):
            return
        parts = _SIGV4.fullmatch(header)
        if parts is None:
            raise ServiceError("IncompleteSignatureException", "Authorization is neither complete SigV4 nor a bearer.")
        if parts["service"] != "bedrock":
            raise ServiceError("InvalidSignatureException", "The credential must be scoped to the service bedrock.")
        if self._secrets:
            self._verify(request, parts)

    def _verify(self, request: Incoming, parts: re.Match[str]) -> None:
        secret = self._secrets.get(parts["key"])
        if secret is None:
            raise ServiceError("UnrecognizedClientException", "The access key is not known here.")
        key = f"AWS4{secret}".encode()
        for part in (parts["date"], parts["region"], parts["service"], "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        scope = f"{parts['date']}/{parts['region']}/{parts['service']}/aws4_request"
        canonical = sha256(_canonical(request, parts["headers"]).encode()).hexdigest()
        text = "\n".join((_ALGORITHM, request.headers.get("x-amz-date", ""), scope, canonical))
        if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), parts["signature"]):
            raise ServiceError("InvalidSignatureException", "The signature does not match the request.")


def _canonical(request: Incoming, signed: str) -> str:
    # The path as it came, percent-encoded once more: the rule of every service but S3.
    path = quote(request.raw_path.decode("ascii"), safe="/~-._")
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed.split(";"))
    return "\n".join((request.method, path, "", headers, signed, sha256(request.body).hexdigest()))
