"""The topics the enricher uses, by its role: their contracts, and whether the brokers have them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import ENVELOPE_BYTES
from headgate_schemas import ContractError, Contracts, TopicContract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.kafka.admin import TopicInfo

    from headgate_enricher.config import Settings


class CopiedContract(TopicContract):
    """Contract of a topic that is made like another for a while, and whose records have the other's schemas.

    Attributes:
        like: The other topic.
    """

    like: str

    @classmethod
    def of(cls, contract: TopicContract, topic: str) -> CopiedContract:
        """The contract of a topic like that of another contract."""
        return cls.model_construct(**{**dict(contract), "topic": topic, "like": contract.topic})

    @property
    def subject(self) -> str:
        """The registry's subject of the other topic's values."""
        return f"{self.like}-value"


@dataclass(frozen=True, slots=True)
class Topics:
    """Contracts of the topics the enricher uses.

    Attributes:
        source: What is read.
        output: What is decided.
        reviews: Decisions that a person should see.
        progress: How far partitions are.
        results: Models' answers.
        memory: What agents remember.
        dead_letters: What cannot be decided.
        answers_kept: Whether answers are written to ``results``; else they are only looked for there.
        profiles: What the processor tells of keys; None where nobody looks.
    """

    source: TopicContract
    output: TopicContract
    reviews: TopicContract
    progress: TopicContract
    results: TopicContract
    memory: TopicContract
    dead_letters: TopicContract
    answers_kept: bool = True
    profiles: TopicContract | None = None

    @property
    def beside(self) -> list[TopicContract]:
        """Topics with a partition for each of the source's."""
        return [self.progress, self.memory, *([self.results] if self.answers_kept else [])]


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
        ConfigurationError: One is missing, or no dead letter topic is named.
    """
    try:
        topics = Topics(
            contracts.topic(settings.topic),
            contracts.topic(settings.output_topic),
            contracts.topic(settings.reviews_topic),
            contracts.topic(settings.progress_topic),
            contracts.topic(settings.results_topic),
            contracts.topic(settings.memory_topic),
            _dead_letters(contracts, _failing(settings)),
            profiles=_profiles(settings, contracts),
        )
        if settings.role == "shadow":
            return replace(topics, source=topics.output, output=contracts.topic(settings.divergence_topic))
    except ContractError as error:
        raise ConfigurationError(str(error)) from error
    if settings.role == "replay":
        return _replayed(topics, settings.replay.topic or "", recorded=settings.replay.recorded)
    return topics


def _failing(settings: Settings) -> str:
    """The topic whose contract names the dead letters; those of decided events are the writer's."""
    names = {"decide": settings.topic, "shadow": settings.divergence_topic, "replay": settings.output_topic}
    return names[settings.role]


def _dead_letters(contracts: Contracts, topic: str) -> TopicContract:
    named = contracts.topic(topic).dead_letters
    if named is None:
        raise ConfigurationError(f"Topic {topic} names no dead_letters topic: add one to its contract.")
    return contracts.topic(named)


def _profiles(settings: Settings, contracts: Contracts) -> TopicContract | None:
    """Profiles go along with live events: those of today are of no use to a replay of yesterday's."""
    name = settings.profiles_topic
    return None if name is None or settings.role == "replay" else contracts.topic(name)


def _replayed(topics: Topics, topic: str, *, recorded: bool) -> Topics:
    """Topics of a replay: all that is written is its own, so that nothing of it is left when they are deleted."""
    return replace(
        topics,
        source=topics.output,
        output=CopiedContract.of(topics.output, topic),
        progress=CopiedContract.of(topics.progress, f"{topic}.progress"),
        results=topics.results if recorded else CopiedContract.of(topics.results, f"{topic}.results"),
        memory=CopiedContract.of(topics.memory, f"{topic}.memory"),
        dead_letters=CopiedContract.of(topics.dead_letters, f"{topic}.dlq"),
        answers_kept=not recorded,
    )


def check_topics(topics: Topics, existing: Mapping[str, TopicInfo]) -> None:
    """Check that the topics are there.

    Raises:
        ConfigurationError: One is not, or one that goes along with the source has too few partitions or room.
    """
    used = [topics.source, topics.output, topics.reviews, topics.results, topics.dead_letters, *topics.beside]
    wanted = {contract.topic for contract in used}
    missing = sorted(wanted - set(existing))
    if missing:
        raise ConfigurationError(f"No topic {', '.join(missing)}: run `headgate topics apply`.")
    source = existing[topics.source.topic].partitions
    for topic in [contract.topic for contract in topics.beside]:
        if existing[topic].partitions < source:
            raise ConfigurationError(
                f"{topic} has {existing[topic].partitions} partitions and {topics.source.topic} has {source}: "
                f"add partitions to {topic}, one for each of the other's."
            )
    if topics.reviews.max_message_bytes < (least := topics.output.max_message_bytes + ENVELOPE_BYTES):
        raise ConfigurationError(
            f"The largest record of {topics.output.topic} would not fit in {topics.reviews.topic}: "
            f"write max_message_bytes: {least} or more into the contract of {topics.reviews.topic}."
        )


def check_profiles(topics: Topics, decided: TopicContract, existing: Mapping[str, TopicInfo]) -> None:
    """Check that a key's profile is on the partition of the source that the key's events are on.

    Args:
        topics: Topics that are there.
        decided: Topic of the decided events, with whose partitions the profiles go along.
        existing: What topics there are.

    Raises:
        ConfigurationError: The profiles' topic is not there, or has too few partitions, or the two have not as many.
    """
    if topics.profiles is None:
        return
    name, source = topics.profiles.topic, topics.source.topic
    off = "or set HEADGATE_ENRICHER_PROFILES_TOPIC=null to go without profiles"
    if name not in existing:
        raise ConfigurationError(f"No topic {name}: run `headgate topics apply`, {off}.")
    counts = {topic: existing[topic].partitions for topic in (source, decided.topic, name)}
    if counts[decided.topic] != counts[source]:
        raise ConfigurationError(
            f"{decided.topic} has {counts[decided.topic]} partitions and {source} has {counts[source]}, so that the "
            f"profiles in {name} are not where their events are: give both as many, {off}."
        )
    if counts[name] < counts[source]:
        raise ConfigurationError(
            f"{name} has {counts[name]} partitions and {source} has {counts[source]}: "
            f"add partitions to {name}, one for each of the other's, {off}."
        )
