"""Records and positions as services see them, free of any client library's types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple, overload

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


Column = Literal["topic", "partition", "offset", "timestamp_ms", "value"]


class LazyRecords(Sequence[Record]):
    """A client's messages as records: one is made when it is looked at, and a column is read without making any.

    Args:
        messages: The messages, in order.
        make: Makes a record of one.
        columns: Read a column's value from one.
    """

    __slots__ = ("_columns", "_make", "_messages")

    def __init__(
        self, messages: Sequence[Any], make: Callable[[Any], Record], columns: Mapping[Column, Callable[[Any], Any]]
    ) -> None:
        self._messages = messages
        self._make = make
        self._columns = columns

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> LazyRecords: ...

    def __getitem__(self, index: int | slice) -> Record | LazyRecords:
        """Make one record, or take a stretch of them."""
        if isinstance(index, slice):
            return LazyRecords(self._messages[index], self._make, self._columns)
        return self._make(self._messages[index])

    def __iter__(self) -> Iterator[Record]:
        """Make the records one by one."""
        return map(self._make, self._messages)

    def __add__(self, other: LazyRecords) -> LazyRecords:
        """Return these records and then those of the same client."""
        return LazyRecords([*self._messages, *other._messages], self._make, self._columns)

    def column(self, name: Column) -> list[Any]:
        """Return one attribute of all records."""
        return list(map(self._columns[name], self._messages))


def column_of(records: Sequence[Record], name: Column) -> list[Any]:
    """Return one attribute of all records, without making those that are not made yet."""
    if isinstance(records, LazyRecords):
        return records.column(name)
    return list(map(attrgetter(name), records))


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record to produce; ``partition`` None lets the partitioner choose by key (murmur2, as the Java client)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    timestamp_ms: int | None = None
