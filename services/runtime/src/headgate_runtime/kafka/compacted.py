"""Reads a compacted topic as the table it is: the last value of each key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import Record


def read_compacted(
    settings: KafkaSettings, topic: str, partitions: Iterable[int], timeout_s: float
) -> dict[tuple[int, bytes], Record]:
    """Return the last committed record of each partition and key; a key whose last record is a tombstone is absent.

    Args:
        settings: How to reach the brokers.
        topic: A compacted topic whose records have keys.
        partitions: Partitions to read, up to their ends as :func:`read_range` sees them.
        timeout_s: Longest the whole read may take.

    Raises:
        UnavailableError: The end was not reached in time: brokers away, or a transaction still open.
        RejectedError: No such topic or partition, or no permission.
    """
    table: dict[tuple[int, bytes], Record] = {}

    def take(record: Record) -> None:
        key = (record.partition, record.key or b"")
        if record.value is None:
            table.pop(key, None)
        else:
            table[key] = record

    read_range(settings, {TopicPartition(topic, partition): 0 for partition in partitions}, take, timeout_s)
    return table
