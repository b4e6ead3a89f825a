"""Whose data is erased: the key of the person's events, and what tables hold in its place."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from headgate_runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from headgate_schemas.topics import Treatment

LEAST_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Subject:
    """A person.

    Attributes:
        user: The key of the person's events.
        pii_key: What tables hash personal data with; None where there is none.
    """

    user: str
    pii_key: bytes | None = field(default=None, repr=False)

    @property
    def key(self) -> bytes:
        """The key as records have it."""
        return self.user.encode()

    @property
    def fingerprint(self) -> str:
        """What audit lines call the person: it tells people apart, and whoever knows the person can find the line."""
        return hashlib.sha256(self.key).hexdigest()[:12]

    def stored_as(self, treatment: Treatment) -> str:
        """What a column of a treatment holds of the person's key.

        Raises:
            ConfigurationError: It is hashed, and the key is not known.
        """
        if treatment == "keep":
            return self.user
        if self.pii_key is None:
            raise ConfigurationError(
                "A table hashes the person's key: name the writer's key file in HEADGATE_ADMIN_PII_KEY_FILE."
            )
        return hmac.new(self.pii_key, self.key, hashlib.sha256).hexdigest()


def read_pii_key(path: Path | None) -> bytes | None:
    """Read the key that personal data is hashed with, as the writer reads it; None stays None.

    Raises:
        ConfigurationError: There is no such file, or the key is too short to be the writer's.
    """
    if path is None:
        return None
    try:
        key = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ConfigurationError(f"pii_key_file: {path} cannot be read: {error.strerror}") from error
    if len(key) < LEAST_KEY_BYTES:
        raise ConfigurationError(f"pii_key_file: {path} holds {len(key)} bytes, and no writer takes so short a key")
    return key
