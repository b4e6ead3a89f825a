"""Whether a table has what its topics had at one moment: a row that is still on its way would come after the erasure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from headgate_runtime.errors import RejectedError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import TopicPartition

from headgate_admin.tables.log import StoredLog
from headgate_admin.tables.positions import positions_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import Record
    from pyiceberg.table import Table

READ_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.25


class _FoundError(Exception):
    """A record that is not stored yet."""


def ends_of(kafka: KafkaSettings, topics: Sequence[str]) -> dict[TopicPartition, int]:
    """The end of each partition of those of the topics that the brokers have."""
    admin = KafkaAdmin(kafka)
    known = admin.topics()
    return admin.high_watermarks(
        [
            TopicPartition(topic, number)
            for topic in topics
            if topic in known
            for number in range(known[topic].partitions)
        ]
    )


def wait_stored(
    kafka: KafkaSettings, load: Callable[[], Table], ends: Mapping[TopicPartition, int], timeout_s: float
) -> list[TopicPartition]:
    """Wait until every committed record below the ends is stored; return the partitions that are behind all the same.

    Raises:
        RejectedError: A topic is not the one that was stored, or what should say so cannot be read.
        UnavailableError: Brokers or catalog do not answer.
    """
    deadline = time.monotonic() + timeout_s
    behind = dict(ends)
    while True:
        table = load()
        positions = positions_at(table.metadata, table.current_snapshot())
        if positions is None:
            raise RejectedError(f"no offset map holds in {'.'.join(table.name())}: it is not known what it has")
        StoredLog(
            kafka, {topic: positions[topic] for topic in {each.topic for each in ends} & positions.keys()}
        ).require_same()
        stored = {
            each: positions[each.topic].ends.get(each.partition, 0) if each.topic in positions else 0 for each in behind
        }
        behind = {
            each: end for each, end in behind.items() if stored[each] < end and _records(kafka, each, stored[each], end)
        }
        if not behind or time.monotonic() > deadline:
            return sorted(behind)
        time.sleep(_POLL_S)


def _records(kafka: KafkaSettings, partition: TopicPartition, start: int, end: int) -> bool:
    """Whether a committed record is there; a position stops short of the control records at a topic's end."""

    def take(_: Record) -> None:
        raise _FoundError

    try:
        read_range(kafka, {partition: start}, take, READ_TIMEOUT_S, ends={partition: end})
    except _FoundError:
        return True
    return False
