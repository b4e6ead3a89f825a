"""Gives a live client the password that is in its file, whenever that changes."""

from __future__ import annotations

import logging
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from headgate_runtime.errors import ConfigurationError
from headgate_runtime.kafka.security import user

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.config import KafkaSettings

_log = logging.getLogger(__name__)
_LOOK_S: Final = 5.0


class SaslClient(Protocol):
    """A client of the library that logs in with a password."""

    def set_sasl_credentials(self, username: str, password: str, /) -> None:
        """Use these for the next connections; those that are open stay."""


class PasswordRotation:
    """Looks at the file every five seconds, on a thread that ends with this object: keep it as long as the client."""

    def __init__(
        self,
        settings: KafkaSettings,
        client: SaslClient,
        password: str,
        on_change: Callable[[], None],
        *,
        look_s: float = _LOOK_S,
    ) -> None:
        """Start to look.

        Args:
            settings: Name the user and the file.
            client: Gets what is new.
            password: What the client was made with.
            on_change: Called after the client got another.
            look_s: Seconds between two looks.
        """
        self._settings = settings
        self._client = client
        self._password = password
        self._on_change = on_change
        ended = threading.Event()
        weakref.finalize(self, ended.set)
        follow = (weakref.ref(self), ended, look_s)
        threading.Thread(target=_follow, args=follow, name="kafka-password", daemon=True).start()

    def look(self) -> None:
        """Look once."""
        try:
            found = user(self._settings)
        except ConfigurationError as error:
            _log.warning("%s; the password before is used meanwhile", error)
            return
        if found["sasl.password"] == self._password:
            return
        with suppress(RuntimeError):  # the client was closed and is not dropped yet
            self._client.set_sasl_credentials(found["sasl.username"], found["sasl.password"])
        self._password = found["sasl.password"]
        self._on_change()
        _log.info("the Kafka password has changed: the next connections use it")


def _follow(rotation: weakref.ref[PasswordRotation], ended: threading.Event, look_s: float) -> None:
    while not ended.wait(look_s):
        if (living := rotation()) is not None:
            living.look()
        del living
