"""What the log still has of what a table should hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headgate_runtime.errors import RejectedError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import TopicPartition

from headgate_admin.deadletters.position import source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import Record

    from headgate_admin.tables.positions import StoredPositions
    from headgate_admin.tables.rows import RowIndex

READ_TIMEOUT_S: Final = 3600.0


class StoredLog:
    """The stored part of the topics' logs, as far as the brokers still have it."""

    def __init__(self, settings: KafkaSettings, positions: StoredPositions) -> None:
        self._settings = settings
        self._positions = positions
        self._admin = KafkaAdmin(settings)

    def first_offsets(self) -> dict[TopicPartition, int]:
        """The first offset that is still in the log, of each stored partition.

        Raises:
            RejectedError: A topic is not the one that was stored.
        """
        self.require_same()
        return self._admin.first_offsets(
            [TopicPartition(topic, number) for topic, stored in self._positions.items() for number in stored.ends]
        )

    def require_same(self) -> None:
        """Refuse to compare with a topic that was created again, or that is on another cluster.

        Raises:
            RejectedError: One is.
        """
        cluster_id, topic_ids = self._admin.cluster_id(), self._admin.topic_ids(list(self._positions))
        for topic, stored in self._positions.items():
            if (stored.cluster_id, stored.topic_id) != (cluster_id, topic_ids[topic]):
                raise RejectedError(
                    f"{topic} was created again, or is on another cluster, since it was stored: the log has "
                    f"{cluster_id}/{topic_ids[topic]} and the table {stored.cluster_id}/{stored.topic_id}"
                )

    def read(self, index: RowIndex, firsts: Mapping[TopicPartition, int], dead_letters: Iterable[str]) -> None:
        """Take in what the log has below the stored positions, and what has a dead letter."""
        ends = {
            TopicPartition(topic, number): end
            for topic, stored in self._positions.items()
            for number, end in stored.ends.items()
        }
        with index.taking("log") as take:
            read_range(
                self._settings,
                firsts,
                lambda record: take(record.topic, record.partition, record.offset),
                READ_TIMEOUT_S,
                ends=ends,
            )
        known = self._admin.topics()
        with index.taking("letters") as take_letter:
            for topic in dead_letters:
                starts = {TopicPartition(topic, number): 0 for number in range(known[topic].partitions)}
                read_range(self._settings, starts, _with_source(take_letter), READ_TIMEOUT_S)


def _with_source(take: Callable[[str, int, int], None]) -> Callable[[Record], None]:
    def take_letter(record: Record) -> None:
        source = source_of(record)
        if source is not None:
            take(*source)

    return take_letter
