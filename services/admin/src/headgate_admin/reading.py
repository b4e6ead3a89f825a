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
    ReadAt = Callable[[str, int, int], Record | None]

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


def record_at(settings: KafkaSettings) -> ReadAt:
    """A reader of one record by its topic, partition and offset; None where the log does not have it."""

    def read(topic: str, number: int, offset: int) -> Record | None:
        place = TopicPartition(topic, number)
        if offset >= KafkaAdmin(settings).high_watermarks([place])[place]:
            return None
        found: list[Record] = []
        read_range(settings, {place: offset}, found.append, READ_TIMEOUT_S, ends={place: offset + 1})
        return found[0] if found else None

    return read
