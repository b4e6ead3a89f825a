"""A cluster's topics in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headgate_runtime.errors import RejectedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headgate_runtime.records import TopicPartition

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


@dataclass
class MemoryTopic:
    """``ages_ms`` are those of its records, all on the first partition, oldest first."""

    partitions: int
    config: dict[str, str] = field(default_factory=dict)
    replication_factor: int = 3
    ages_ms: list[int] = field(default_factory=list)


@dataclass
class MemoryCluster:
    """Topics in memory; ``behind`` calls of ``topics`` still show what was before, as brokers do."""

    current: dict[str, MemoryTopic] = field(default_factory=dict)
    created_with: list[int] = field(default_factory=list)
    unavailable: bool = False

    def topics(self) -> Mapping[str, MemoryTopic]:
        if self.unavailable:
            raise UnavailableError("cannot list topics: no broker answers")
        return self.current

    def create(self, topic: str, *, partitions: int, config: Mapping[str, str], replication_factor: int = -1) -> None:
        if topic in self.current:
            raise RejectedError(f"cannot create topic {topic}: it exists")
        self.created_with.append(replication_factor)
        self.current[topic] = MemoryTopic(partitions, dict(config))

    def add_partitions(self, topic: str, total: int) -> None:
        if total <= self.current[topic].partitions:
            raise RejectedError("cannot add partitions")
        self.current[topic].partitions = total

    def alter_config(self, topic: str, config: Mapping[str, str]) -> None:
        self.current[topic].config.update(config)

    def first_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def high_watermarks(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {each: 0 if each.partition else len(self.current[each.topic].ages_ms) for each in partitions}

    def offsets_at(self, partitions: Collection[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        first = next(iter(partitions))
        ages = self.current[first.topic].ages_ms
        young = [offset for offset, age in enumerate(ages) if NOW_MS - age >= timestamp_ms]
        return {first: young[0]} if young else {}
