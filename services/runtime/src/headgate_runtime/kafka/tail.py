"""Follows one partition outside of any group: whoever wants all of a log reads all of it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from headgate_runtime.errors import UnavailableError
from headgate_runtime.kafka.client import ClientContext
from headgate_runtime.kafka.consumer import to_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import Record, TopicPartition

_CALL_TIMEOUT_S: Final = 15.0
_END_OF_PARTITION: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - librdkafka's own codes are spelled so
_FIXED: Final = ("isolation.level", "enable.auto.commit", "enable.partition.eof", "auto.offset.reset")


class KafkaTail:
    """Reads committed records of one partition from an offset on, with the least delay there is.

    Every call belongs on one thread. An offset outside the log is an error, never a silent jump.
    """

    def __init__(self, settings: KafkaSettings, partition: TopicPartition) -> None:
        own = {
            # The protocol wants a group; nothing joins it and nothing is committed.
            "group.id": f"headgate-tail-{uuid.uuid4().hex}",
            "enable.auto.commit": "false",
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "enable.partition.eof": "true",
            "fetch.wait.max.ms": 100,
        }
        self._context = ClientContext(settings)
        self._consumer = self._context.make(Consumer, own, fixed=_FIXED)
        self._partition = partition
        self._position = 0

    def bounds(self) -> tuple[int, int]:
        """Ask the broker for the first offset in the log and the offset after the last.

        Raises:
            UnavailableError: The brokers do not answer.
            RejectedError: No such topic or partition, or no permission.
        """
        ask = self._consumer.get_watermark_offsets
        low, high = self._call(lambda: ask(ClientPartition(*self._partition), _CALL_TIMEOUT_S))
        return low, high

    def start(self, offset: int) -> None:
        """Read from an offset on; nothing fetched before is returned afterwards."""
        self._position = offset
        self._call(lambda: self._consumer.assign([ClientPartition(*self._partition, offset)]))

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return what there is in order, waiting for the first record at most ``timeout_s`` seconds.

        Raises:
            RejectedError: The offset is outside the log, or there is no permission. An outage is waited out.
        """
        # The client's batch call waits until the batch is full: only what is there already is taken by it.
        first = self._call(lambda: self._consumer.poll(timeout_s))
        if first is None:
            return []
        messages = [first, *self._call(lambda: self._consumer.consume(max_records - 1, 0))]
        return [self._passed(message) for message in messages if message.error() is None or self._event(message)]

    def position(self) -> int:
        """The next offset to be read, past control records at the end."""
        return self._position

    def close(self) -> None:
        """Let go of the connection."""
        self._call(self._consumer.close)

    def _passed(self, message: Any) -> Record:
        self._position = message.offset() + 1
        return to_record(message)

    def _event(self, message: Any) -> bool:
        """Take a message that is no record: note the end, raise an error; a passing fault is retried by the client."""
        error = message.error()
        if error.code() == _END_OF_PARTITION:
            self._position = max(self._position, message.offset())
            return False
        fault = self._context.translate(error, f"read {self._partition.topic}")
        if not isinstance(fault, UnavailableError):
            raise fault
        return False

    def _call(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except KafkaException as error:
            raise self._context.translate(error, f"read {self._partition.topic}") from error
