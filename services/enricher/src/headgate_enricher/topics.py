"""The topics the enricher uses: their contracts, and whether the brokers have them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import ENVELOPE_BYTES
from headgate_schemas import ContractError, Contracts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.kafka.admin import TopicInfo
    from headgate_schemas import TopicContract

    from headgate_enricher.config import Settings


@dataclass(frozen=True, slots=True)
class Topics:
    """Contracts of the topics the enricher uses."""

    source: TopicContract
    output: TopicContract
    reviews: TopicContract
    progress: TopicContract
    results: TopicContract
    memory: TopicContract
    dead_letters: TopicContract


def load_contracts(settings: Settings) -> Contracts:
    """Read the contracts.

    Raises:
        ConfigurationError: They are missing or wrong.
    """
    try:
        return Contracts.load(settings.contracts_dir)
    except ContractError as error:
        raise ConfigurationError(str(error)) from error


def find_topics(settings: Settings, contracts: Contracts) -> Topics:
    """Find the contracts of the topics the settings name.

    Raises:
        ConfigurationError: One is missing, or the source names no dead letter topic.
    """
    try:
        source = contracts.topic(settings.topic)
        if source.dead_letters is None:
            raise ConfigurationError(f"Topic {source.topic} names no dead_letters topic: add one to its contract.")
        return Topics(
            source,
            contracts.topic(settings.output_topic),
            contracts.topic(settings.reviews_topic),
            contracts.topic(settings.progress_topic),
            contracts.topic(settings.results_topic),
            contracts.topic(settings.memory_topic),
            contracts.topic(source.dead_letters),
        )
    except ContractError as error:
        raise ConfigurationError(str(error)) from error


def check_topics(topics: Topics, existing: Mapping[str, TopicInfo]) -> None:
    """Check that the topics are there.

    Raises:
        ConfigurationError: One is not, or one that goes along with the source has too few partitions or room.
    """
    wanted = {getattr(topics, field.name).topic for field in fields(topics)}
    missing = sorted(wanted - set(existing))
    if missing:
        raise ConfigurationError(f"No topic {', '.join(missing)}: run `headgate topics apply`.")
    source = existing[topics.source.topic].partitions
    for beside in (topics.progress.topic, topics.results.topic, topics.memory.topic):
        if existing[beside].partitions < source:
            raise ConfigurationError(
                f"{beside} has {existing[beside].partitions} partitions and {topics.source.topic} has {source}: "
                f"add partitions to {beside}, one for each of the other's."
            )
    if topics.reviews.max_message_bytes < (least := topics.output.max_message_bytes + ENVELOPE_BYTES):
        raise ConfigurationError(
            f"The largest record of {topics.output.topic} would not fit in {topics.reviews.topic}: "
            f"write max_message_bytes: {least} or more into the contract of {topics.reviews.topic}."
        )
