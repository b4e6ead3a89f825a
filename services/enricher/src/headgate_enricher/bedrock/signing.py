"""Credentials of a model call: SigV4 with botocore's credentials, refreshed off the event loop, or a bearer token."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from botocore.credentials import Credentials, RefreshableCredentials
from botocore.tokens import ScopedEnvTokenProvider
from headgate_runtime.errors import ConfigurationError

from headgate_enricher.bedrock.sigv4 import SignatureV4

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.credentials import ReadOnlyCredentials
    from botocore.session import Session

    from headgate_enricher.bedrock.settings import BedrockSettings

_SIGNING_NAME = "bedrock"
_MANDATORY_REFRESH_S = 600
_REFRESH_INTERVAL_S = 10.0


class Signer(Protocol):
    """Adds what authenticates a request."""

    async def sign(self, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers of a POST, with the authorization among them."""


class BearerSigner:
    """Sends a Bedrock API key."""

    def __init__(self, token: str) -> None:
        self._authorization = f"Bearer {token}"

    async def sign(self, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:  # noqa: ARG002 (Signer)
        """The headers with the key."""
        return {**headers, "Authorization": self._authorization}


class SigV4Signer:
    """Signs with the credentials in force at the time of the call."""

    def __init__(self, credentials: CredentialSource, region: str) -> None:
        self._credentials = credentials
        self._signature = SignatureV4(_SIGNING_NAME, region)

    async def sign(self, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers with date, token and signature."""
        return self._signature.sign(await self._credentials.current(), url, headers, body)


class CredentialSource:
    """A frozen copy of botocore's credentials, refreshed in a thread before they expire.

    A refresh asks a metadata service or STS, which takes from milliseconds to seconds: in the time botocore calls
    advisory, calls go on with the old copy; only credentials about to expire make them wait.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._frozen: ReadOnlyCredentials | None = None
        self._refreshing: asyncio.Task[ReadOnlyCredentials] | None = None
        self._refreshed_s = -_REFRESH_INTERVAL_S

    async def current(self) -> ReadOnlyCredentials:
        """The credentials to sign with now.

        Raises:
            BotoCoreError: They have expired, or will soon, and cannot be refreshed.
        """
        if self._frozen is None or self._expires_within(_MANDATORY_REFRESH_S):
            return await asyncio.shield(self._refresh())
        if self._expires_within(None) and time.monotonic() - self._refreshed_s >= _REFRESH_INTERVAL_S:
            self._refresh()
        return self._frozen

    def _expires_within(self, seconds: int | None) -> bool:
        credentials = self._credentials
        return isinstance(credentials, RefreshableCredentials) and credentials.refresh_needed(seconds)

    def _refresh(self) -> asyncio.Task[ReadOnlyCredentials]:
        if self._refreshing is None or self._refreshing.done():
            self._refreshed_s = time.monotonic()
            self._refreshing = asyncio.create_task(self._freeze())
            # Nobody may be waiting for it: the calls that need its result see its error, the others go on without.
            self._refreshing.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._refreshing

    async def _freeze(self) -> ReadOnlyCredentials:
        self._frozen = await asyncio.to_thread(self._credentials.get_frozen_credentials)
        return self._frozen


def create_signer(settings: BedrockSettings, session: Session) -> Signer:
    """The signer for the settings: API key, static credentials, or botocore's chain.

    Raises:
        ConfigurationError: There are no credentials.
    """
    if settings.api_key is not None:
        return BearerSigner(settings.api_key.get_secret_value())
    if settings.access_key_id is not None and settings.secret_access_key is not None:
        token = settings.session_token.get_secret_value() if settings.session_token else None
        key, secret = settings.access_key_id.get_secret_value(), settings.secret_access_key.get_secret_value()
        return SigV4Signer(CredentialSource(Credentials(key, secret, token)), settings.region)
    bearer = ScopedEnvTokenProvider(session).load_token(signing_name=_SIGNING_NAME)
    if bearer is not None:
        return BearerSigner(bearer.token)
    credentials = session.get_credentials()
    if credentials is None:
        raise ConfigurationError(
            "No AWS credentials for Bedrock: give the pod an identity, set AWS_PROFILE or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or set bedrock.api_key. A local endpoint takes any api_key."
        )
    return SigV4Signer(CredentialSource(credentials), settings.region)
