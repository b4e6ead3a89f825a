"""Settings every service shares. A service's ``config.py`` is the only reader of the environment."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings


class KafkaSettings(BaseModel):
    """How to reach the brokers; ``properties`` go to librdkafka as they are (security, tuning)."""

    bootstrap_servers: str = "127.0.0.1:9092"
    properties: dict[str, str] = Field(default_factory=dict)


class RegistrySettings(BaseModel):
    """How to reach the schema registry (Confluent API)."""

    url: str = "http://127.0.0.1:8081"
    timeout_s: float = Field(default=10.0, gt=0)


class HttpSettings(BaseModel):
    """Where the control API listens, and the file that holds the bearer token of its control calls."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    control_token_file: Path | None = None


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
    instance: str = Field(default_factory=socket.gethostname)
    contracts_dir: Path | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    drain_timeout_s: float = Field(default=25.0, gt=0)
