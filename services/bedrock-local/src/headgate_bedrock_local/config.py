"""Settings of the local Bedrock endpoint; the only reader of its environment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from headgate_bedrock_local.faults import EndpointFaults


class Settings(BaseSettings):
    """Read from HEADGATE_BEDROCK_*.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one and logs it.
        seed: Seed of the draws that decide which calls faults hit.
        faults: Knobs to start with, as JSON or by HEADGATE_BEDROCK_FAULTS__<KNOB>.
        secrets: Secret by access key, as JSON. Where given, SigV4 signatures are verified and nothing else is taken.
        drain_timeout_s: How long a stopping endpoint lets calls finish.
        log_level: Level of the server's own log.
    """

    model_config = SettingsConfigDict(env_prefix="HEADGATE_BEDROCK_", env_nested_delimiter="__")

    host: str = "127.0.0.1"
    port: int = Field(default=8088, ge=0, le=65_535)
    seed: int = Field(default=7, ge=0, lt=2**63)
    faults: EndpointFaults = EndpointFaults()
    secrets: dict[str, SecretStr] = Field(default_factory=dict)
    drain_timeout_s: int = Field(default=20, gt=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
