"""What every Kafka client of ours has in common: its settings, its log, and the meaning of its errors."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException

from headgate_runtime.errors import ConfigurationError, FencedError, HeadgateError, RejectedError, UnavailableError
from headgate_runtime.kafka.rotation import PasswordRotation, SaslClient
from headgate_runtime.kafka.security import ACCESS, GRANT, UNAUTHORISED, advice, security_properties

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from headgate_runtime.config import KafkaSettings

_Client = TypeVar("_Client", bound=SaslClient)
_log = logging.getLogger(__name__)

# Credentials may rotate under a running client, so a refusal explains only the failures close to it. The library tells
# of one fault every 30 s at most, and waits up to 10 s between its attempts to connect.
_DENIED_FOR_S: Final = 45.0

_FENCED: Final = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001 - librdkafka's own codes are spelled with an underscore
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
        KafkaError.PRODUCER_FENCED,
        KafkaError.TRANSACTION_COORDINATOR_FENCED,
    }
)
_REJECTED: Final = ACCESS | frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - as above
        KafkaError._FATAL,  # noqa: SLF001 - as above
        KafkaError._INVALID_ARG,  # noqa: SLF001 - as above
        KafkaError._STATE,  # noqa: SLF001 - as above
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - as above
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - as above
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_REQUEST,
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError.POLICY_VIOLATION,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.TOPIC_ALREADY_EXISTS,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNSUPPORTED_VERSION,
    }
)


class Faults:
    """The last fault for which the brokers refuse a client, as its connections report it.

    A wrong password or certificate reaches a caller only as a time-out; what is noted here says what it was.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._refusal: str | None = None
        self._refused_at = 0.0

    def note(self, error: KafkaError) -> None:
        """Take note of a fault of the client's connections, which no call reports."""
        told = _text(error)
        if said := advice(error.code(), error.str(), self._settings):
            told = f"{told}; {said}"
            self._refusal, self._refused_at = told, time.monotonic()
        _log.warning("kafka client: %s", told)

    def refusal(self) -> str | None:
        """Say why the brokers refuse this client now; None where they do not."""
        return self._refusal if time.monotonic() - self._refused_at < _DENIED_FOR_S else None

    def forget(self) -> None:
        """Count no more on what was noted: the credentials are others now."""
        self._refusal = None


class ClientContext:
    """Settings of one client, and what its connections report."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._faults = Faults(settings)
        self._rotation: PasswordRotation | None = None

    def make(
        self,
        client: Callable[[dict[str, Any]], _Client],
        own: Mapping[str, Any],
        *,
        properties: Mapping[str, str] | None = None,
        fixed: Collection[str] = (),
    ) -> _Client:
        """Make a client.

        Args:
            client: Its class.
            own: What the adapter prefers; the deployment's properties win over it.
            properties: What one client needs besides; wins over the deployment's.
            fixed: Names of ``own`` that the adapter's promises rest on, so that nobody may change them.

        Raises:
            ConfigurationError: A property is unknown, invalid or fixed; or a credential is missing.
            UnavailableError: Who gives credentials does not answer.
        """
        given = {**self._settings.properties, **(properties or {})}
        if changed := sorted(name for name in fixed if name in given and given[name] != str(own[name])):
            raise ConfigurationError(
                f"Kafka properties {changed} are Headgate's own: remove them from KAFKA__PROPERTIES"
            )
        security = security_properties(self._settings)
        # The client keeps the callback, and must not keep this object with it: who drops the adapter drops the client.
        base = {
            "bootstrap.servers": self._settings.bootstrap_servers,
            "error_cb": self._faults.note,
            "logger": _log,
        }
        try:
            made = client({**own, **security, **given, **base})
        except KafkaException as error:
            raise ConfigurationError(f"cannot make a Kafka client: {_text(error.args[0])}") from error
        if "sasl.password" in security and "sasl.password" not in given:
            password = security["sasl.password"]
            self._rotation = PasswordRotation(self._settings, made, password, self._faults.forget)
        return made

    def translate(self, error: KafkaError | KafkaException, action: str) -> HeadgateError:
        """Return what an error means to a service.

        Args:
            error: As the client gave it.
            action: What was tried, for the text: ``consume``, ``commit``.
        """
        if isinstance(error, KafkaException):
            error = (
                error.args[0] if error.args and isinstance(error.args[0], KafkaError) else KafkaError(-1, str(error))
            )
        refusal = self.refusal()
        if refusal is not None and not error.fatal():
            return RejectedError(f"cannot {action}: the brokers refuse this client: {refusal}")
        return translate(error, action)

    def refusal(self) -> str | None:
        """Say why the brokers refuse this client now; None where they do not."""
        return self._faults.refusal()


def translate(error: KafkaError, action: str) -> HeadgateError:
    """Return what an error means to a service; what is not known to be final counts as passing."""
    text = f"cannot {action}: {_text(error)}"
    if error.code() in UNAUTHORISED:
        text = f"{text}; {GRANT}"
    if error.code() in _FENCED or _hides_fencing(error):
        return FencedError(f"{text}. Another instance has taken over")
    if error.fatal() or error.code() in _REJECTED:
        return RejectedError(text)
    return UnavailableError(text)


def _hides_fencing(error: KafkaError) -> bool:
    """Say whether a consumer's fatal error, whose own code says only that it is fatal, quotes one of fencing."""
    fatal = error.code() == KafkaError._FATAL  # noqa: SLF001 - librdkafka's own codes are spelled so
    return fatal and any(KafkaError(code).str() in error.str() for code in _FENCED)


def _text(error: KafkaError) -> str:
    return f"{error.str()} ({error.name()})"
