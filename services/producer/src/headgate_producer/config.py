"""Settings of the producer; the only reader of its environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from headgate_runtime.config import ServiceSettings, SettingsGroup, TracingSettings
from headgate_runtime.errors import ConfigurationError
from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

ENDPOINTS: Final = Path("build/local/endpoints.json")


class IngestSettings(SettingsGroup):
    """Bounds of the HTTP side.

    Attributes:
        allow_anonymous: POST /events needs no bearer token. Only where something in front of the service authenticates.
        max_body_bytes: Largest request body.
        max_events: Most events in one request.
        max_outstanding: Most events that wait for their acknowledgement, over all requests.
        ack_timeout_s: How long a request waits for the broker's acknowledgements.
        stall_after_s: Without an acknowledgement for this long the broker counts as away, and requests are turned away.
        retry_after_s: What a client that is turned away is told to wait.
    """

    allow_anonymous: bool = False
    max_body_bytes: int = Field(default=4_000_000, gt=0)
    max_events: int = Field(default=1000, gt=0)
    max_outstanding: int = Field(default=20_000, gt=0)
    ack_timeout_s: float = Field(default=10.0, gt=0)
    stall_after_s: float = Field(default=5.0, gt=0)
    retry_after_s: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _largest_request_fits(self) -> Self:
        if self.max_events > self.max_outstanding:
            raise ValueError("max_events must not exceed max_outstanding, or a full request could never be taken")
        return self


class StartedTraces(TracingSettings):
    """Where spans go, and which events have some.

    Attributes:
        sample_ratio: Share of the events that are traced on their whole way, 0 to 1. An event that came with a
            traceparent is traced where that says so.
    """

    starts_traces: ClassVar[bool] = True

    sample_ratio: float = Field(default=0.01, ge=0, le=1)


class Settings(ServiceSettings):
    """Settings of the HTTP service.

    Attributes:
        topic: Topic the events go to; its contract says what they must be.
        delivery_timeout_s: How long the producer goes on trying to deliver one event.
        ingest: Bounds of the HTTP side.
        tracing: Where spans go, and which events have some.
    """

    model_config = SettingsConfigDict(env_prefix="HEADGATE_PRODUCER_", env_nested_delimiter="__")

    topic: str = "raw-events"
    delivery_timeout_s: float = Field(default=30.0, gt=0)
    ingest: IngestSettings = IngestSettings()
    tracing: StartedTraces = StartedTraces()

    def producer_properties(self) -> dict[str, str]:
        """What the settings mean to the Kafka client."""
        return {"message.timeout.ms": str(round(self.delivery_timeout_s * 1000))}


class CommandSettings(Settings):
    """Settings of the command line: the environment, and where it is silent the stack that runs in this folder."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the local stack's endpoints behind everything else."""
        return init_settings, env_settings, dotenv_settings, file_secret_settings, _LocalStack(settings_cls)


class _LocalStack(PydanticBaseSettingsSource):
    """Reads ``build/local/endpoints.json`` of the current folder, which the local stack keeps while it runs."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Give one setting; the whole is given by calling."""
        return self().get(field_name), field_name, field.annotation is not None

    def __call__(self) -> dict[str, Any]:
        """Give what the file says.

        Raises:
            ConfigurationError: The file is there and cannot be read.
        """
        if not ENDPOINTS.is_file():
            return {}
        try:
            endpoints = json.loads(ENDPOINTS.read_text("utf-8"))
            return {
                "kafka": {"bootstrap_servers": endpoints["bootstrap_servers"]},
                "registry": {"url": endpoints["registry_url"]},
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{ENDPOINTS}: cannot be read ({error!r}); start the local stack anew") from error
