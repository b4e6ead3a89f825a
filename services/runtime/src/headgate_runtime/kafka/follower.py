"""Follows partitions of one topic outside of any group, from their first record on, while they come and go."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from headgate_runtime.errors import UnavailableError
from headgate_runtime.kafka.client import ClientContext
from headgate_runtime.kafka.consumer import to_record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import Record

_END_OF_PARTITION: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - librdkafka's own codes are spelled so
_FIXED: Final = ("isolation.level", "enable.auto.commit", "enable.partition.eof", "auto.offset.reset")


class KafkaFollower:
    """Reads committed records of some of a topic's partitions; every call belongs on one thread.

    What retention or compaction has taken away is passed over, and outages are waited out.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        own = {
            # The protocol wants a group; nothing joins it and nothing is committed.
            "group.id": f"headgate-follow-{uuid.uuid4().hex}",
            "enable.auto.commit": "false",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": "true",
        }
        self._context = ClientContext(settings)
        self._consumer = self._context.make(Consumer, own, fixed=_FIXED)
        self._topic = topic
        self._behind: set[int] = set()

    @property
    def behind(self) -> bool:
        """Whether the end of an added partition was not reached yet."""
        return bool(self._behind)

    def add(self, numbers: Collection[int]) -> None:
        """Read these partitions as well, from their first records on."""
        self._behind.update(numbers)
        self._call(lambda: self._consumer.incremental_assign(self._partitions(numbers)))

    def drop(self, numbers: Collection[int]) -> None:
        """Read these partitions, which were added, no more; nothing of them is returned afterwards."""
        self._behind.difference_update(numbers)
        self._call(lambda: self._consumer.incremental_unassign(self._partitions(numbers)))

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return up to so many records in order per partition, waiting at most ``timeout_s`` seconds for all of them.

        Raises:
            RejectedError: No such topic or partition, or no permission.
        """
        messages = self._call(lambda: self._consumer.consume(max_records, timeout_s))
        return [to_record(message) for message in messages if message.error() is None or self._event(message)]

    def close(self) -> None:
        """Let go of the connection."""
        self._call(self._consumer.close)

    def _partitions(self, numbers: Collection[int]) -> list[ClientPartition]:
        return [ClientPartition(self._topic, number, OFFSET_BEGINNING) for number in numbers]

    def _event(self, message: Any) -> bool:
        """Take a message that is no record: note an end, raise an error; a passing fault is retried by the client."""
        error = message.error()
        if error.code() == _END_OF_PARTITION:
            self._behind.discard(message.partition())
            return False
        fault = self._context.translate(error, f"read {self._topic}")
        if not isinstance(fault, UnavailableError):
            raise fault
        return False

    def _call(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except KafkaException as error:
            raise self._context.translate(error, f"read {self._topic}") from error
