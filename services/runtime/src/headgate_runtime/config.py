"""Settings every service shares. A service's ``config.py`` is the only reader of the environment."""

from __future__ import annotations

import re
import socket
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, get_origin

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import to_json
from pydantic_settings import BaseSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


# What Kubernetes and container links add by themselves for services whose names begin like ours.
_LINK: Final = re.compile(r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_LINK_VALUE: Final = re.compile(r"(tcp|udp|sctp)://")
# Keys that came over the network in the clear would be anybody's.
_TRUSTED_URL: Final = r"^(https://|http://(127\.0\.0\.1|localhost)[:/])"


class SettingsGroup(BaseModel):
    """A group of settings; a name it does not know is an error."""

    model_config = ConfigDict(extra="forbid")


class KafkaSettings(SettingsGroup):
    """How to reach the brokers, and as whom.

    Attributes:
        bootstrap_servers: Addresses of some brokers.
        security: How a connection is protected: not at all (``plaintext``), by TLS with or without a client certificate
            (``tls``), by TLS with a user's password (``scram``), by TLS with an AWS role (``iam``: Amazon MSK).
        ca_file: PEM certificates that brokers have to prove themselves by; None takes the system's.
        certificate_file: PEM certificate of this client with its chain, for ``tls``.
        key_file: PEM private key of that certificate.
        username: User, for ``scram``.
        password_file: File with the user's password.
        region: AWS region of the cluster, for ``iam``.
        properties: Go to librdkafka as they are, and win over everything else.
    """

    bootstrap_servers: str = "127.0.0.1:9092"
    security: Literal["plaintext", "tls", "scram", "iam"] = "plaintext"
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    region: str | None = None
    properties: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _goes_with_security(self) -> Self:
        """A credential that would not be used is as wrong as one that is missing: it would leave a connection open."""
        needed, possible = _KAFKA_SECURITY[self.security]
        credentials = {name for names in _KAFKA_SECURITY.values() for each in names for name in each}
        given = {name for name in credentials if getattr(self, name) is not None}
        if missing := sorted(needed - given):
            raise ValueError(f"KAFKA__SECURITY is {self.security}: set {_variables('KAFKA', missing)} as well")
        if unused := sorted(given - needed - possible):
            raise ValueError(
                f"KAFKA__SECURITY is {self.security}, which has no use for {_variables('KAFKA', unused)}: "
                "set KAFKA__SECURITY to the one you mean"
            )
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("set both KAFKA__CERTIFICATE_FILE and KAFKA__KEY_FILE, or neither")
        return self


# What each kind of security needs, and what it can use besides.
_KAFKA_SECURITY: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "plaintext": (frozenset(), frozenset()),
    "tls": (frozenset(), frozenset({"ca_file", "certificate_file", "key_file"})),
    "scram": (frozenset({"username", "password_file"}), frozenset({"ca_file"})),
    "iam": (frozenset({"region"}), frozenset({"ca_file"})),
}


class RegistrySettings(SettingsGroup):
    """How to reach the schema registry (Confluent API), and as whom.

    Attributes:
        url: Its address, with the path of the API.
        timeout_s: Longest wait for a connection, and for each part of an answer.
        ca_file: PEM certificates that it has to prove itself by; None takes the well-known ones.
        username: User of HTTP basic authentication.
        password_file: File with the user's password.
    """

    url: str = "http://127.0.0.1:8081"
    timeout_s: float = Field(default=10.0, gt=0)
    ca_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("set both REGISTRY__USERNAME and REGISTRY__PASSWORD_FILE, or neither")
        if self.ca_file is not None and not self.url.startswith("https://"):
            raise ValueError("REGISTRY__CA_FILE has no use without an https:// address: set REGISTRY__URL right")
        return self


class OidcSettings(SettingsGroup):
    """Whose tokens let people and programs in beside the control token.

    Attributes:
        issuer: As the tokens' ``iss`` says it; None takes no such token.
        audience: What has to be in their ``aud``.
        jwks_url: Where the issuer's keys are; None asks its discovery document.
        roles_claim: Where the roles are in a token; dots lead into objects: ``realm_access.roles``.
    """

    issuer: str | None = Field(default=None, pattern=_TRUSTED_URL)
    audience: str | None = Field(default=None, min_length=1)
    jwks_url: str | None = Field(default=None, pattern=_TRUSTED_URL)
    roles_claim: str = Field(default="roles", min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.issuer is None) != (self.audience is None):
            raise ValueError("set both HTTP__OIDC__ISSUER and HTTP__OIDC__AUDIENCE, or neither")
        if self.jwks_url is not None and self.issuer is None:
            raise ValueError("HTTP__OIDC__JWKS_URL has no use without HTTP__OIDC__ISSUER: set it")
        return self


class HttpSettings(SettingsGroup):
    """Where the control API listens, and whose control calls it takes.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one and logs it.
        control_token_file: File with a bearer token; whoever sends it is an operator.
        oidc: Whose tokens are taken besides.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    control_token_file: Path | None = None
    oidc: OidcSettings = OidcSettings()


class TracingSettings(SettingsGroup):
    """Where spans go.

    Attributes:
        endpoint: Base URL of an OTLP/HTTP receiver, such as ``http://127.0.0.1:4318``; None records no spans.
    """

    starts_traces: ClassVar[bool] = False

    endpoint: str | None = Field(default=None, pattern=r"^https?://")


class LineageSettings(SettingsGroup):
    """Where a service tells which data became which.

    Attributes:
        transport: As OpenLineage's Python client takes it: ``type`` (http, file, console, ...) and what that type wants.
            ``kafka`` wants ``topic`` alone, for its brokers are the service's. Empty tells nobody.
        namespace: Of the jobs.
    """

    transport: dict[str, Any] = Field(default_factory=dict)
    namespace: str = Field(default="headgate", min_length=1)


class ServiceSettings(BaseSettings):
    """Base of a service's settings; a subclass sets ``env_prefix`` and ``env_nested_delimiter='__'``.

    Attributes:
        instance: Stable name of this replica; makes group.instance.id and transactional.id.
        contracts_dir: Folder with avro/ and topics/; None takes the contracts the schemas package ships.
        drain_timeout_s: How long a stopping service may finish what is in flight.
    """

    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    http: HttpSettings = HttpSettings()
    tracing: TracingSettings = TracingSettings()
    instance: str = Field(default_factory=socket.gethostname)
    contracts_dir: Path | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    drain_timeout_s: float = Field(default=25.0, gt=0)


def as_environment(settings: BaseModel, prefix: str) -> dict[str, str]:
    """Return the variables that give another process these settings; what stands as it is by default is left out.

    Args:
        settings: A group, such as ``KafkaSettings``.
        prefix: What stands before each name: ``HEADGATE_ENRICHER_KAFKA__``.
    """
    given = settings.model_dump(exclude_defaults=True)
    return {
        f"{prefix}{name.upper()}": to_json(value).decode() if isinstance(value, dict) else str(value)
        for name, value in given.items()
    }


def unknown_variables(settings_type: type[BaseSettings], environment: Mapping[str, str]) -> dict[str, str]:
    """Find variables with a service's prefix that match none of its settings, which would have no effect.

    Args:
        settings_type: The service's settings.
        environment: Variables by name.

    Returns:
        The setting that was probably meant, by the name of the variable.
    """
    prefix = settings_type.model_config.get("env_prefix", "").upper()
    delimiter = settings_type.model_config.get("env_nested_delimiter") or "__"
    known = {prefix + name for name in _names(settings_type, delimiter)}
    return {
        name: get_close_matches(name.upper(), known, n=1, cutoff=0)[0]
        for name, value in sorted(environment.items())
        if name.upper().startswith(prefix)
        and not _matches(name.upper(), known, delimiter)
        and not _LINK.fullmatch(name.upper().removeprefix(prefix))
        and not _LINK_VALUE.match(value)
    }


def _names(model: type[BaseModel], delimiter: str) -> Iterator[str]:
    """Name every setting; a name that ends in the delimiter takes whatever follows it."""
    for name, field in model.model_fields.items():
        yield name.upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{name.upper()}{delimiter}{inner}" for inner in _names(field.annotation, delimiter))
        elif get_origin(field.annotation) is dict:
            yield f"{name.upper()}{delimiter}"


def _matches(name: str, known: set[str], delimiter: str) -> bool:
    return name in known or any(name.startswith(setting) for setting in known if setting.endswith(delimiter))


def _variables(group: str, names: Iterable[str]) -> str:
    return " and ".join(f"{group}__{name.upper()}" for name in names)
