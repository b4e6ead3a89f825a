"""The stretch of a topic that is replayed, and the topics it is replayed into."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.errors import HeadgateError, RejectedError
from headgate_runtime.records import TopicPartition

from headgate_admin.topics.plan import wanted_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headgate_runtime.kafka.admin import KafkaAdmin
    from headgate_schemas import Contracts

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stretch:
    """From where to where a topic is read.

    Attributes:
        starts: First offset by partition.
        ends: Offset behind the last.
    """

    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]


def find_stretch(admin: KafkaAdmin, topic: str, *, from_ms: int | None, to_ms: int | None) -> Stretch:
    """Find the offsets between two times; None stands for the first record there is, and for the end as it is now.

    Args:
        admin: The cluster.
        topic: The topic.
        from_ms: First timestamp, milliseconds since the epoch.
        to_ms: First timestamp that is not replayed any more.

    Raises:
        RejectedError: There is no such topic.
    """
    info = admin.topics().get(topic)
    if info is None:
        raise RejectedError(f"No topic {topic}: run `headgate topics apply`.")
    partitions = [TopicPartition(topic, number) for number in range(info.partitions)]
    highs = admin.high_watermarks(partitions)
    starts = admin.first_offsets(partitions) if from_ms is None else highs | admin.offsets_at(partitions, from_ms)
    ends = highs if to_ms is None else highs | admin.offsets_at(partitions, to_ms)
    return Stretch(starts, ends)


@contextmanager
def replay_topics(
    admin: KafkaAdmin, contracts: Contracts, source: str, topic: str, *, replication_factor: int
) -> Iterator[None]:
    """Make the topics of a replay; leave what was decided and what could not be, nothing where the replay fails.

    Args:
        admin: The cluster.
        contracts: The contracts.
        source: Topic of the decided events.
        topic: Topic of the replay.
        replication_factor: Of the topics; -1 takes the brokers' default.

    Raises:
        RejectedError: There are topics of a replay of that name.
    """
    existing = admin.topics()
    contract = contracts.topic(source)
    decided = wanted_config(contract)
    size = {"max.message.bytes": decided["max.message.bytes"]}
    kept = {topic: decided, f"{topic}.dlq": wanted_config(contracts.topic(contract.dead_letters or source))}
    passing = {
        f"{topic}.progress": {"cleanup.policy": "compact", **size},
        f"{topic}.memory": {"cleanup.policy": "compact", **size},
        f"{topic}.results": {"cleanup.policy": "delete", **size},
    }
    if there := sorted({*kept, *passing} & set(existing)):
        raise RejectedError(f"There is {', '.join(there)} already: take another name, or delete what is not needed.")
    made: list[str] = []
    try:
        for name, config in (kept | passing).items():
            admin.create(
                name, partitions=existing[source].partitions, config=config, replication_factor=replication_factor
            )
            made.append(name)
        yield
        made = list(passing)
    finally:
        _delete(admin, made)


def _delete(admin: KafkaAdmin, topics: list[str]) -> None:
    for topic in topics:
        try:
            admin.delete(topic)
        except HeadgateError as error:
            logger.warning("a topic of the replay is left", topic=topic, error=str(error))
