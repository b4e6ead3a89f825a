"""Hands an event to the producer."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import httpx
from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_admin.config import ProducerSettings

_TIMEOUT_S: Final = 15.0
_COMPLAINT_CHARS: Final = 500


def send(settings: ProducerSettings, event: Mapping[str, Any]) -> None:
    """Post an event; returns once the brokers have it.

    Raises:
        ConfigurationError: The token's file cannot be read.
        RejectedError: The producer refuses the event or the caller.
        UnavailableError: It does not answer, or cannot take the event now; the same event may be sent again.
    """
    url = f"{settings.url.rstrip('/')}/events"
    try:
        answer = httpx.post(url, json=event, headers=_headers(settings), timeout=_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(
            f"the producer at {url} does not answer: {error}; set HEADGATE_ADMIN_PRODUCER__URL"
        ) from error
    complaint = f"HTTP {answer.status_code}: {answer.text[:_COMPLAINT_CHARS]}"
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        raise UnavailableError(f"the producer at {url} takes no event now: {complaint}")
    if answer.status_code != HTTPStatus.ACCEPTED:
        raise RejectedError(f"the producer at {url} refused the event: {complaint}")


def _headers(settings: ProducerSettings) -> dict[str, str]:
    if settings.token_file is None:
        return {}
    try:
        return {"Authorization": f"Bearer {settings.token_file.read_text('utf-8').strip()}"}
    except OSError as error:
        raise ConfigurationError(
            f"the producer's token cannot be read: {error}; set HEADGATE_ADMIN_PRODUCER__TOKEN_FILE"
        ) from error
