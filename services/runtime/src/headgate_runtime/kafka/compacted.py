"""Reads a compacted topic as the table it is: the last value of each key."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from headgate_runtime.errors import UnavailableError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.client import ClientContext
from headgate_runtime.kafka.consumer import to_record
from headgate_runtime.records import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import Record

_BATCH: Final = 10_000
_BATCH_WAIT_S: Final = 0.05


def read_compacted(
    settings: KafkaSettings, topic: str, partitions: Iterable[int], timeout_s: float
) -> dict[tuple[int, bytes], Record]:
    """Return the last committed record of each partition and key; a key whose last record is a tombstone is absent.

    Reads to the high watermark of the moment of the call. A transaction that is open then is waited for, because what
    it has written below that mark may yet be committed.

    Args:
        settings: How to reach the brokers.
        topic: A compacted topic whose records have keys.
        partitions: Partitions to read.
        timeout_s: Longest the whole read may take.

    Raises:
        UnavailableError: The end was not reached in time: brokers away, or a transaction still open.
        RejectedError: No such topic or partition, or no permission.
    """
    deadline = time.monotonic() + timeout_s
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    ends = KafkaAdmin(settings).high_watermarks(wanted, timeout_s=timeout_s)
    reader = _Reader(settings, {partition.partition: end for partition, end in ends.items() if end > 0}, topic)
    try:
        while reader.left:
            if time.monotonic() >= deadline:
                raise UnavailableError(f"{topic}: did not reach the end of {sorted(reader.left)} in {timeout_s} s")
            reader.read()
    finally:
        reader.close()
    return reader.table


class _Reader:
    """One pass over the partitions; ``left`` has the ends not reached yet."""

    def __init__(self, settings: KafkaSettings, ends: dict[int, int], topic: str) -> None:
        self.left = ends
        self.table: dict[tuple[int, bytes], Record] = {}
        self._topic = topic
        self._context = ClientContext(settings)
        own = {
            # The protocol wants a group; nothing joins it and nothing is committed.
            "group.id": f"headgate-read-{uuid.uuid4().hex}",
            "enable.auto.commit": "false",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": "true",
            "fetch.wait.max.ms": 20,
        }
        self._consumer = self._context.make(Consumer, own, fixed=("isolation.level", "enable.partition.eof"))
        self._consumer.assign([ClientPartition(topic, partition, 0) for partition in ends])

    def read(self) -> None:
        """Take the next batch."""
        try:
            messages = self._consumer.consume(_BATCH, _BATCH_WAIT_S)
        except KafkaException as error:
            raise self._context.translate(error, f"read {self._topic}") from error
        for message in messages:
            if message.error() is None:
                self._take(to_record(message))
            else:
                self._event(message)

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()

    def _take(self, record: Record) -> None:
        key = (record.partition, record.key or b"")
        if record.value is None:
            self.table.pop(key, None)
        else:
            self.table[key] = record
        self._reached(record.partition, record.offset + 1)

    def _event(self, message: Any) -> None:
        error = message.error()
        # The end of what is readable also passes the control records and aborted records before it.
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes are spelled so
            self._reached(message.partition(), message.offset())
            return
        fault = self._context.translate(error, f"read {self._topic}")
        if not isinstance(fault, UnavailableError):
            raise fault

    def _reached(self, partition: int, offset: int) -> None:
        if offset >= self.left.get(partition, offset + 1):
            del self.left[partition]
