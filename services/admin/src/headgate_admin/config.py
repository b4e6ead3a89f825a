"""Settings of the command line: an option, else the environment, else a running local stack, else a default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from headgate_runtime.config import KafkaSettings, RegistrySettings, SettingsGroup
from headgate_runtime.errors import ConfigurationError
from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

ENDPOINTS = Path("build/local/endpoints.json")


class LocalStack(BaseModel):
    """The part of a running local stack's ``endpoints.json`` that is of use here."""

    bootstrap_servers: str
    registry_url: str
    catalog: dict[str, str] = Field(default_factory=dict)
    services: dict[str, str] = Field(default_factory=dict)
    control_token_file: Path | None = None


class ProducerSettings(SettingsGroup):
    """How to reach the producer over HTTP, and the file that holds the bearer token it wants."""

    url: str = "http://127.0.0.1:8080"
    token_file: Path | None = None


class AdminSettings(BaseSettings):
    """Settings of the command line.

    Attributes:
        contracts_dir: Folder with avro/ and topics/; None takes the contracts the schemas package ships.
        replication_factor: Of topics to create; -1 takes the brokers' default.
        min_insync_replicas: Replicas that must have a record before it is acknowledged, set on every topic; None leaves
            that to the brokers.
        principal: How the brokers spell a service that a contract names.
        producer: The producer's HTTP side.
        source_topic: Topic of the events to decide.
        reviews_topic: Topic of the decisions that a person should see.
        outcomes_topic: Topic of what people decided on them.
        enriched_topic: Topic of the decided events.
        results_topic: Topic of the models' answers.
        divergence_topic: Topic of what shadow agents decide beside what holds.
        replays_topic: Topic of what was put back of dead letters.
        budget_topic: The budgets' ledger.
        reviewer: Who decides on reviews; None until somebody says so.
        operator: Who puts dead letters back; None until somebody says so.
        catalog: Catalog of the tables, as pyiceberg takes its properties, ``name`` among them.
        enrichers: Addresses of the enricher's replicas, each of them, for what they alone can do.
        control_token_file: File with the token of the services' control calls.
        pii_key_file: File with the key that tables' personal data is hashed with; the writer's own.
        local_stack: The local stack that gave its addresses as defaults; None where none runs in the current folder.
    """

    model_config = SettingsConfigDict(env_prefix="HEADGATE_ADMIN_", env_nested_delimiter="__")

    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    contracts_dir: Path | None = None
    replication_factor: Annotated[int, Field(ge=-1)] = -1
    min_insync_replicas: Annotated[int | None, Field(ge=1)] = None
    principal: Annotated[str, Field(pattern=r"^\w+:[^{}]*\{service\}[^{}]*$")] = "User:headgate-{service}"
    producer: ProducerSettings = ProducerSettings()
    source_topic: str = "raw-events"
    reviews_topic: str = "decision-reviews"
    outcomes_topic: str = "review-outcomes"
    enriched_topic: str = "enriched-events"
    results_topic: str = "model-results"
    divergence_topic: str = "decision-divergences"
    replays_topic: str = "dead-letter-replays"
    budget_topic: str = "budget-ledger"
    reviewer: str | None = None
    operator: str | None = None
    catalog: dict[str, str] = Field(default_factory=dict)
    enrichers: list[str] = Field(default_factory=list)
    control_token_file: Path | None = None
    pii_key_file: Path | None = None
    local_stack: LocalStack | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources, strongest first."""
        return init_settings, env_settings, _LocalStackSource(settings_cls)

    def origin(self, address: str) -> str:
        """An address with the file it came from, where it came from one."""
        local = self.local_stack
        known = local is not None and address in {local.bootstrap_servers, local.registry_url}
        return f"{address} (from {ENDPOINTS})" if known else address


def load_settings(
    *,
    bootstrap_servers: str | None = None,
    registry_url: str | None = None,
    contracts: Path | None = None,
    replication_factor: int | None = None,
    reviewer: str | None = None,
    operator: str | None = None,
    enrichers: list[str] | None = None,
) -> AdminSettings:
    """Settings with a command's options on top; None leaves an option to the other sources.

    Raises:
        ConfigurationError: Names the setting that is wrong.
    """
    given = {
        "kafka": bootstrap_servers and {"bootstrap_servers": bootstrap_servers},
        "registry": registry_url and {"url": registry_url},
        "contracts_dir": contracts,
        "replication_factor": replication_factor,
        "reviewer": reviewer,
        "operator": operator,
        "enrichers": enrichers,
    }
    try:
        return AdminSettings.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigurationError(f"settings are wrong: {problems}") from error


def inherited_environment() -> dict[str, str]:
    """A copy of this process's environment, for a child to start from."""
    return dict(os.environ)


class _LocalStackSource(PydanticBaseSettingsSource):
    """Reads the addresses of the local stack that runs in the current folder."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  # pydantic's
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        try:
            local = LocalStack.model_validate_json(ENDPOINTS.read_bytes())
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise ConfigurationError(f"{ENDPOINTS} cannot be read, remove it or start the stack again") from error
        return {
            "kafka": {"bootstrap_servers": local.bootstrap_servers},
            "registry": {"url": local.registry_url},
            "catalog": local.catalog,
            "producer": {"url": local.services["producer"], "token_file": local.control_token_file}
            if "producer" in local.services
            else {},
            "enrichers": [url for name, url in local.services.items() if name.partition("-")[0] == "enricher"],
            "control_token_file": local.control_token_file,
            "local_stack": local,
        }
