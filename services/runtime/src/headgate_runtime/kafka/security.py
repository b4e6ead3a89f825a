"""From the settings of a connection to librdkafka's properties, and what is wrong with a connection that is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError

from headgate_runtime.secret_files import read_secret, require_readable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.config import KafkaSettings

MECHANISM: Final = "SCRAM-SHA-512"
_LOCATIONS: Final = {
    "ca_file": "ssl.ca.location",
    "certificate_file": "ssl.certificate.location",
    "key_file": "ssl.key.location",
}
UNAUTHORISED: Final = frozenset(
    {
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_UNAUTHENTICATED: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})  # noqa: SLF001 - librdkafka's own codes are spelled with an underscore
ACCESS: Final = UNAUTHORISED | _UNAUTHENTICATED | {KafkaError._SSL}  # noqa: SLF001 - as above

GRANT: Final = (
    "grant what the contracts say: `headgate topics acls diff`; with iam in the policy of this service's role"
)
_CREDENTIALS: Final = {
    "plaintext": "the listener wants to know who connects: set KAFKA__SECURITY",
    "tls": "the listener wants to know who connects: set KAFKA__SECURITY",
    "scram": "check KAFKA__USERNAME and what is in KAFKA__PASSWORD_FILE",
    "iam": "check KAFKA__REGION, and that this service's role may kafka-cluster:Connect",
}


def security_properties(settings: KafkaSettings) -> dict[str, Any]:
    """Return what the client library needs for a protected connection; empty where it is plain text.

    Raises:
        ConfigurationError: A file cannot be read; or there are no AWS credentials.
        UnavailableError: Who gives AWS credentials does not answer.
    """
    if settings.security == "plaintext":
        return {}
    files = {name: getattr(settings, name) for name in _LOCATIONS}
    given = {_LOCATIONS[name]: require_readable(path, f"KAFKA__{name.upper()}") for name, path in files.items() if path}
    match settings.security:
        case "scram":
            return {"security.protocol": "SASL_SSL", "sasl.mechanism": MECHANISM, **given, **user(settings)}
        case "iam":
            from headgate_runtime.kafka.msk import msk_tokens  # noqa: PLC0415 - AWS's libraries are for those who use them

            tokens = msk_tokens(settings.region or "")
            tokens.current()  # says at once what the client would only wait for
            return {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "oauth_cb": tokens, **given}
        case _:
            return {"security.protocol": "SSL", **given}


def user(settings: KafkaSettings) -> Mapping[str, str]:
    """Return the user and the password that is in its file now; empty where no file is named.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    if settings.username is None or settings.password_file is None:
        return {}
    password = read_secret(settings.password_file, "KAFKA__PASSWORD_FILE")
    return {"sasl.username": settings.username, "sasl.password": password}


def advice(code: int, text: str, settings: KafkaSettings) -> str | None:
    """Say which setting to look at where a connection fails for good; None where it may come back by itself.

    Args:
        code: Code of the client's error.
        text: Its text.
        settings: Settings of the connection.
    """
    if code in _UNAUTHENTICATED:
        spoken = "handshake failed" not in text  # a listener that takes no such login says so before it looks at any
        return _CREDENTIALS[settings.security] if spoken else "this listener takes no such login: set KAFKA__SECURITY"
    if code == KafkaError._SSL:  # noqa: SLF001 - as above
        certificates = " and KAFKA__CERTIFICATE_FILE" if settings.certificate_file else ""
        return f"check KAFKA__CA_FILE{certificates}, and that the listener speaks what KAFKA__SECURITY says"
    return GRANT if code in UNAUTHORISED else None
