"""``headgate await``: waits until what a service needs of topics and schemas is there, and says what is not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from headgate_runtime.errors import ConfigurationError, UnavailableError, UnknownSchemaError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

from headgate_admin.config import load_settings
from headgate_admin.options import BootstrapServers, ContractsDir, Json, RegistryUrl  # noqa: TC001  # typer reads them
from headgate_admin.output import reporting
from headgate_admin.patience import patiently

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import TopicContract

    from headgate_admin.config import AdminSettings
    from headgate_admin.topics.plan import TopicState

app = typer.Typer(add_completion=False)


def connect(settings: AdminSettings) -> tuple[Callable[[], Mapping[str, TopicState]], SchemaRegistry]:
    """What lists the cluster's topics, and the registry."""
    return KafkaAdmin(settings.kafka).topics, ConfluentRegistry(settings.registry)


@app.command()
def await_service(
    service: Annotated[str, typer.Argument(help="As topics' contracts name who writes and reads them: enricher.")],
    *,
    wait_s: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait.")] = 600,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Wait until the topics a service uses exist and their schemas are registered; 3 where they are not in time."""
    with reporting(as_json=json) as output:
        settings = load_settings(contracts=contracts, bootstrap_servers=bootstrap_servers, registry_url=registry_url)
        loaded = Contracts.load(settings.contracts_dir)
        used = topics_of(service, loaded)
        topics, registry = connect(settings)
        deadline_s = time.monotonic() + wait_s
        patiently(lambda: demand(missing(used, loaded, topics(), registry)), deadline_s, output.note)
        names = [topic.topic for topic in used]
        output.result({"service": service, "topics": names}, f"{len(names)} topics and their schemas are there")


def topics_of(service: str, contracts: Contracts) -> list[TopicContract]:
    """The topics a service writes or reads.

    Raises:
        ConfigurationError: No contract names the service.
    """
    users = {topic.topic: {*topic.producers, *topic.consumers} for topic in contracts.topics.values()}
    used = [topic for topic in contracts.topics.values() if service in users[topic.topic]]
    if not used:
        known = ", ".join(sorted(set[str]().union(*users.values())))
        raise ConfigurationError(f"No topic's contract names {service!r}: name one of {known}.")
    return used


def missing(
    used: Collection[TopicContract],
    contracts: Contracts,
    topics: Mapping[str, TopicState],
    registry: SchemaRegistry,
) -> list[str]:
    """What is not there yet of topics and of every version of their schemas, in words.

    Raises:
        UnavailableError: The registry does not answer.
    """
    return [lack for topic in used for lack in _lacks(topic, contracts, topics.get(topic.topic), registry)]


def demand(lacks: Sequence[str]) -> None:
    """Take nothing missing for granted.

    Raises:
        UnavailableError: Something is; the text says what.
    """
    if lacks:
        raise UnavailableError(f"there is no {', '.join(lacks)}: has `headgate setup` run?")


def _lacks(
    topic: TopicContract, contracts: Contracts, state: TopicState | None, registry: SchemaRegistry
) -> Iterator[str]:
    if state is None:
        yield f"topic {topic.topic}"
    elif state.partitions < topic.partitions:
        yield f"partition {topic.partitions - 1} of topic {topic.topic}"
    for record in contracts.versions(topic.record):
        try:
            registry.schema_id(topic.subject, record.text)
        except UnknownSchemaError:
            yield f"schema {record.label} in {topic.subject}"
