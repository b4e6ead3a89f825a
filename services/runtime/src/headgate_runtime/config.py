"""Settings every service shares. A service's ``config.py`` is the only reader of the environment."""

from __future__ import annotations

import re
import socket
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, get_origin

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


# What Kubernetes and container links add by themselves for services whose names begin like ours.
_LINK: Final = re.compile(r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_LINK_VALUE: Final = re.compile(r"(tcp|udp|sctp)://")


class SettingsGroup(BaseModel):
    """A group of settings; a name it does not know is an error."""

    model_config = ConfigDict(extra="forbid")


class KafkaSettings(SettingsGroup):
    """How to reach the brokers; ``properties`` go to librdkafka as they are (security, tuning)."""

    bootstrap_servers: str = "127.0.0.1:9092"
    properties: dict[str, str] = Field(default_factory=dict)


class RegistrySettings(SettingsGroup):
    """How to reach the schema registry (Confluent API)."""

    url: str = "http://127.0.0.1:8081"
    timeout_s: float = Field(default=10.0, gt=0)


class HttpSettings(SettingsGroup):
    """Where the control API listens, and the file that holds the bearer token of its control calls."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    control_token_file: Path | None = None


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
