"""Reads topics for commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_runtime.errors import RejectedError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import Record

    ReadNewest = Callable[[str, int | None, Callable[[Record], None]], None]

READ_TIMEOUT_S = 60.0


def newest(settings: KafkaSettings) -> ReadNewest:
    """A reader of the newest records of each partition of a topic, or of all of them."""

    def read(topic: str, count: int | None, take: Callable[[Record], None]) -> None:
        found = KafkaAdmin(settings).topics().get(topic)
        if found is None:
            raise RejectedError(f"No topic {topic}: run `headgate topics apply`.")
        start = 0 if count is None else -count
        starts = {TopicPartition(topic, number): start for number in range(found.partitions)}
        read_range(settings, starts, take, READ_TIMEOUT_S)

    return read
