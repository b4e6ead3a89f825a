"""Signature Version 4 for many POSTs to a few URLs: what botocore's signer computes, in a tenth of its time.

The rules: AWS documentation, "Create a signed AWS API request". Tested against botocore's signer.
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.credentials import ReadOnlyCredentials

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_END: Final = "aws4_request"
_DATE_CHARS = 8


class SignatureV4:
    """Signs requests of one service in one region.

    Args:
        service: Name of the service in the scope of a signature.
        region: The region.
        clock: Seconds since the epoch.
    """

    def __init__(self, service: str, region: str, clock: Callable[[], float] = time.time) -> None:
        self._service = service
        self._region = region
        self._clock = clock
        self._places: dict[str, tuple[str, str]] = {}
        self._key: tuple[tuple[str, str], bytes] | None = None

    def sign(
        self, credentials: ReadOnlyCredentials, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """The headers of a POST, with date, token and authorization.

        Args:
            credentials: Whose request it is.
            url: Where it goes, escaped as it is sent; without a query.
            headers: Headers to sign besides; not ``Host``.
            body: The body.
        """
        host, path = self._place(url)
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))
        sent = {**headers, "X-Amz-Date": moment}
        if credentials.token:
            sent["X-Amz-Security-Token"] = credentials.token
        signed = sorted([("host", host), *((name.lower(), " ".join(value.split())) for name, value in sent.items())])
        names = ";".join(name for name, _ in signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed)
        request = f"POST\n{path}\n\n{lines}\n{names}\n{sha256(body).hexdigest()}"
        date = moment[:_DATE_CHARS]
        scope = f"{date}/{self._region}/{self._service}/{_END}"
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = _mac(self._signing_key(credentials, date), text).hex()
        sent["Authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return sent

    def _place(self, url: str) -> tuple[str, str]:
        place = self._places.get(url)
        if place is None:
            parts = urlsplit(url)
            default = parts.port == {"http": 80, "https": 443}[parts.scheme]
            host = parts.hostname if default and parts.hostname else parts.netloc.rpartition("@")[2]
            # The canonical path is escaped once more than the path that is sent.
            place = self._places[url] = (host, quote(parts.path, safe="/~") or "/")
        return place

    def _signing_key(self, credentials: ReadOnlyCredentials, date: str) -> bytes:
        """The key of a day; it is the same until the day or the secret changes."""
        made_of = (credentials.secret_key, date)
        if self._key is None or self._key[0] != made_of:
            key = f"AWS4{credentials.secret_key}".encode()
            for part in (date, self._region, self._service, _END):
                key = _mac(key, part)
            self._key = (made_of, key)
        return self._key[1]


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
