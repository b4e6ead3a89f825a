"""Records and positions as services see them, free of any client library's types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

# As a start offset: the first record that is still in the log, wherever the group stands. Kafka's own number for it.
EARLIEST: Final = -2

ENVELOPE_BYTES: Final = 8_192
"""Room for key, headers and framing around a value, within the largest record a topic takes."""

Headers = tuple[tuple[str, bytes | None], ...]


class TopicPartition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass(slots=True)
class Record:
    """A record as consumed.

    Attributes:
        topic: Topic.
        partition: Partition.
        offset: Offset.
        timestamp_ms: Broker or producer timestamp, milliseconds since the epoch, UTC.
        key: Key bytes, None where there is none.
        value: Value bytes, None for a tombstone.
        headers: Headers in order.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def source(self) -> TopicPartition:
        """The partition the record came from."""
        return TopicPartition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record to produce; ``partition`` None lets the partitioner choose by key (murmur2, as the Java client)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    timestamp_ms: int | None = None
