"""Tokens for Amazon MSK's IAM authentication, signed with the credentials that AWS gives this process."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Final

from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
from botocore.credentials import CredentialProvider, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from headgate_runtime.errors import ConfigurationError, HeadgateError, UnavailableError

_log = logging.getLogger(__name__)
_MS: Final = 1000.0


class MskTokens:
    """Gives clients a token whenever theirs has a fifth of its life left; safe on any thread.

    librdkafka asks for it on a thread of its own, so that one that nobody polls stays connected. A token lives for fifteen
    minutes, and the credentials it is signed with are renewed by botocore ahead of their end.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._identity = _Identity()

    def __call__(self, _: str) -> tuple[str, float]:
        """Return a token and when it ends, as the client library wants it, which swallows what is raised here."""
        try:
            return self.current()
        except HeadgateError as error:
            _log.warning("%s; it is tried again in 10 s", error)
            raise

    def current(self) -> tuple[str, float]:
        """Return a new token, and when it ends in seconds since the epoch.

        Raises:
            ConfigurationError: There are no credentials.
            UnavailableError: Who gives them does not answer.
        """
        sign = MSKAuthTokenProvider.generate_auth_token_from_credentials_provider
        try:
            token, ends_ms = sign(self._region, self._identity)
        except BotoCoreError as error:
            raise UnavailableError(f"no AWS credentials for Kafka now: {error}") from error
        return token, ends_ms / _MS


@lru_cache
def msk_tokens(region: str) -> MskTokens:
    """The tokens of a region; all clients of a process share the credentials."""
    return MskTokens(region)


class _Identity(CredentialProvider):  # type: ignore[misc]  # botocore ships no types
    """botocore's usual chain (Pod Identity, web identity, profile, ...), frozen for one signature."""

    METHOD = "headgate"

    def __init__(self) -> None:
        super().__init__()
        self._session = Session()

    def load(self) -> ReadOnlyCredentials:
        credentials = self._session.get_credentials()
        if credentials is None:
            raise ConfigurationError(
                "KAFKA__SECURITY is iam, and there are no AWS credentials: give the pod an identity, or set AWS_PROFILE"
            )
        return credentials.get_frozen_credentials()
