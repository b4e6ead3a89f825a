"""Where progress is kept: one record a partition in a compacted topic, written in the transaction that made it true."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.errors import ConfigurationError, UndecodableError
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition

from headgate_enricher.progress import Mark

if TYPE_CHECKING:
    from headgate_runtime.kafka.protocols import RecordConsumer

    from headgate_enricher.enrichment import ValueEncoder
    from headgate_enricher.intake import ValueDecoder

ReadCompacted = Callable[[str, Collection[int]], Mapping[tuple[int, bytes], Record]]

logger = structlog.get_logger(__name__)


class ProgressLog:
    """Reads and writes ``enricher_progress`` records.

    A partition's progress is on the progress topic's partition of the same number, so that both topics may grow.

    Args:
        topic: The compacted topic.
        group: Consumer group.
        encoder: Encodes the record.
        decoder: Decodes it.
        read: Reads the last record of each key, read_committed, up to the end as it was at the call.
    """

    def __init__(
        self, *, topic: str, group: str, encoder: ValueEncoder, decoder: ValueDecoder, read: ReadCompacted
    ) -> None:
        self._topic = topic
        self._group = group
        self._encoder = encoder
        self._decoder = decoder
        self._read = read

    def load(self, partitions: Sequence[TopicPartition], consumer: RecordConsumer) -> dict[TopicPartition, Mark]:
        """The marks to start from; absent where the group has never committed.

        The committed offsets are read first: that waits for the last owner's pending transaction, and none can follow it.
        Where an operator has moved the group's offset, the offset counts; the rest, which belongs to another, does not.

        Raises:
            ConfigurationError: A progress record cannot be read.
            UnavailableError: The broker does not answer.
        """
        committed = consumer.committed(partitions)
        records = self._read(self._topic, sorted({source.partition for source in partitions}))
        marks: dict[TopicPartition, Mark] = {}
        for source in partitions:
            record = records.get((source.partition, self._key(source)))
            mark = self._mark(record) if record else None
            offset = committed.get(source)
            if offset is not None and (mark is None or mark.watermark != offset):
                logger.warning("no progress record at the committed offset", source=source, offset=offset, record=mark)
                mark = Mark(offset, b"")
            if mark is not None:
                marks[source] = mark
        return marks

    def record(self, source: TopicPartition, mark: Mark) -> OutgoingRecord:
        """The record that says how far a partition is."""
        value = {
            "group": self._group,
            "topic": source.topic,
            "partition": source.partition,
            "watermark": mark.watermark,
            "done": mark.done,
            "answers_from": mark.answers_from,
        }
        return OutgoingRecord(self._topic, self._key(source), self._encoder.encode(value), partition=source.partition)

    def _mark(self, record: Record) -> Mark:
        try:
            value = self._decoder.decode(record.value)
        except UndecodableError as error:
            raise ConfigurationError(
                f"The progress record at {record.topic}/{record.partition}/{record.offset} cannot be read ({error}). "
                f"Register the topic's schema again, or delete the record and accept that events are decided twice."
            ) from error
        return Mark(value["watermark"], value["done"], value["answers_from"])

    def _key(self, source: TopicPartition) -> bytes:
        return f"{self._group}/{source.topic}/{source.partition}".encode()
