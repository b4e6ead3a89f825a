"""Settings of the Bedrock chat models."""

from __future__ import annotations

from typing import Any

from headgate_runtime.config import SettingsGroup
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import from_json


class ModelSettings(BaseModel):
    """One model; its id alone stands for the whole where nothing else is to be said. Also taken as JSON text.

    Attributes:
        id: Model id, inference profile id or ARN.
        provider: Provider of the model (``amazon``, ``anthropic``, ...); only an ARN needs it.
        base_model_id: Model behind an application inference profile; None asks Bedrock for it. Prices go by it.
        requests_per_minute: Attempts this process may send it a minute; None sets no limit.
        tokens_per_minute: Tokens this process may reserve a minute, input and maxTokens; None sets no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=2048)
    provider: str | None = None
    base_model_id: str | None = None
    requests_per_minute: int | None = Field(default=None, ge=6)
    tokens_per_minute: int | None = Field(default=None, ge=6)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return from_json(value) if value.lstrip().startswith("{") else {"id": value}


class GuardrailSettings(BaseModel):
    """A guardrail of Bedrock that every call passes.

    Attributes:
        id: Id or ARN of the guardrail.
        version: Its version: a number or ``DRAFT``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    version: str = Field(pattern=r"^([1-9][0-9]{0,7}|DRAFT)$")


class BedrockSettings(SettingsGroup):
    """Where to call models, as whom, and within which limits.

    Attributes:
        endpoint_url: Endpoint to call instead of the region's own, such as a VPC endpoint or a local one.
        region: AWS region of the endpoint and of the signature.
        max_tokens: Longest answer, in tokens; sent with every call, since Bedrock reserves it from the quota.
        temperature: Sampling temperature.
        timeout_s: Longest time of one attempt, from the wait for a connection to the last byte.
        connect_timeout_s: Longest time to open a connection.
        max_attempts: Attempts of one call in all.
        backoff_base_s: Upper bound of the first wait between attempts; it doubles with each.
        backoff_cap_s: Upper bound of every wait, and the longest Retry-After that is waited for.
        max_connections: Connections in the pool; the number of calls in flight.
        guardrail: Guardrail every call passes; None calls without.
        api_key: Bedrock API key, sent as a bearer token; None signs with SigV4.
        access_key_id: Access key of static credentials; None takes botocore's chain (pod identity, profile, ...).
        secret_access_key: Secret of the static credentials.
        session_token: Session token of the static credentials.
    """

    endpoint_url: str | None = None
    region: str = "us-east-1"
    max_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=1)
    timeout_s: float = Field(default=10.0, gt=0)
    connect_timeout_s: float = Field(default=2.0, gt=0)
    max_attempts: int = Field(default=3, ge=1, le=10)
    backoff_base_s: float = Field(default=0.2, gt=0)
    backoff_cap_s: float = Field(default=5.0, gt=0)
    max_connections: int = Field(default=256, ge=1)
    guardrail: GuardrailSettings | None = None
    api_key: SecretStr | None = None
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
