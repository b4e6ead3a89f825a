"""Reads a stretch of partitions outside of any group: from given offsets to the end as it is now."""

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
    from collections.abc import Callable, Mapping

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import Record

_BATCH: Final = 10_000
_BATCH_WAIT_S: Final = 0.05


def read_range(
    settings: KafkaSettings,
    starts: Mapping[TopicPartition, int],
    take: Callable[[Record], None],
    timeout_s: float,
    *,
    ends: Mapping[TopicPartition, int] | None = None,
) -> dict[TopicPartition, int]:
    """Hand over every committed record from the given offsets on; return the ends it was read up to.

    Reads to the high watermarks of the moment of the call where no ends are given. A transaction that is open then is waited for, because what
    it has written below that mark may yet be committed. What retention has deleted is passed over.

    Args:
        settings: How to reach the brokers.
        starts: First offset wanted of each partition; a negative one counts back from the end.
        take: Gets each record, in order per partition; nothing is kept here.
        timeout_s: Longest the whole read may take.
        ends: Offset of each partition to stop at; none above its high watermark.

    Raises:
        UnavailableError: The end was not reached in time: brokers away, or a transaction still open.
        RejectedError: No such topic or partition, or no permission.
    """
    deadline = time.monotonic() + timeout_s
    ends = dict(ends or KafkaAdmin(settings).high_watermarks(list(starts), timeout_s=timeout_s))
    firsts = {
        partition: start if start >= 0 else max(0, ends[partition] + start) for partition, start in starts.items()
    }
    wanted = {partition: first for partition, first in firsts.items() if first < ends[partition]}
    if not wanted:
        return ends
    reader = _Reader(settings, wanted, ends, take)
    try:
        while reader.left:
            if time.monotonic() >= deadline:
                raise UnavailableError(f"did not reach the end of {sorted(reader.left)} in {timeout_s} s")
            reader.read()
    finally:
        reader.close()
    return ends


class _Reader:
    """One pass over the partitions; ``left`` has those whose end is not reached yet."""

    def __init__(
        self,
        settings: KafkaSettings,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        take: Callable[[Record], None],
    ) -> None:
        self.left = set(starts)
        self._ends = ends
        self._take = take
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
        self._consumer.assign([ClientPartition(*partition, start) for partition, start in starts.items()])

    def read(self) -> None:
        """Take the next batch."""
        try:
            messages = self._consumer.consume(_BATCH, _BATCH_WAIT_S)
        except KafkaException as error:
            raise self._context.translate(error, "read a log") from error
        for message in messages:
            if message.error() is None:
                self._record(to_record(message))
            else:
                self._event(message)

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()

    def _record(self, record: Record) -> None:
        # What came after the call is not part of the answer, though the fetch may have brought it along.
        if record.offset < self._ends[record.source]:
            self._take(record)
        self._reached(record.source, record.offset + 1)

    def _event(self, message: Any) -> None:
        error = message.error()
        # The end of what is readable also passes the control records and aborted records before it.
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes are spelled so
            self._reached(TopicPartition(message.topic(), message.partition()), message.offset())
            return
        fault = self._context.translate(error, "read a log")
        if not isinstance(fault, UnavailableError):
            raise fault

    def _reached(self, partition: TopicPartition, offset: int) -> None:
        if offset >= self._ends[partition]:
            self.left.discard(partition)
