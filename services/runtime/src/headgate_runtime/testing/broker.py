"""A broker in memory: partitions, offsets with gaps, transactions, groups, fencing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING

from headgate_runtime.errors import FencedError, RejectedError, UnavailableError
from headgate_runtime.kafka.partitioner import partition_of
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_runtime.testing.group import Group
from headgate_runtime.testing.log import PartitionLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass
class _Transaction:
    """The open transaction of a transactional id; its holder is the last that asked for the id."""

    epoch: int = 0
    number: int | None = None
    touched: set[TopicPartition] = field(default_factory=set)


class MemoryBroker:
    """What the memory clients of a test share; may be used from several threads.

    Attributes:
        available: False makes every call of every client raise ``UnavailableError``.
        max_record_bytes: A larger record is refused.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, max_record_bytes: int = 1_048_588) -> None:
        self.available = True
        self.max_record_bytes = max_record_bytes
        self.lock = RLock()
        self._clock = clock
        self._topics: dict[str, list[PartitionLog]] = {}
        self._groups: dict[str, Group] = {}
        self._transactions: dict[str, _Transaction] = {}
        self._numbers = count(1)
        self._turn = count()

    def create_topic(self, topic: str, partitions: int = 1) -> None:
        """Create a topic.

        Raises:
            RejectedError: It exists.
        """
        if topic in self._topics:
            raise RejectedError(f"topic {topic!r} exists")
        self._topics[topic] = [PartitionLog() for _ in range(partitions)]

    def has(self, topic: str) -> bool:
        """Say whether a topic exists."""
        return topic in self._topics

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Return the partitions of a topic."""
        return [TopicPartition(topic, number) for number in range(len(self._logs(topic)))]

    def log(self, partition: TopicPartition) -> PartitionLog:
        """Return the log of a partition."""
        logs = self._logs(partition.topic)
        if partition.partition >= len(logs):
            raise RejectedError(f"topic {partition.topic!r} has no partition {partition.partition}")
        return logs[partition.partition]

    def records(self, topic: str) -> list[Record]:
        """Return every committed record of a topic, partition by partition."""
        with self.lock:
            return [record for log in self._logs(topic) for record in log.visible(0, log.end)[0]]

    def committed(self, group_id: str) -> dict[TopicPartition, int]:
        """Return a group's committed offsets."""
        return dict(self.group(group_id).committed)

    def group(self, group_id: str) -> Group:
        """Return a consumer group, made when first asked for."""
        return self._groups.setdefault(group_id, Group(group_id))

    def read_compacted(self, topic: str, partitions: Iterable[int]) -> dict[tuple[int, bytes], Record]:
        """Do what ``headgate_runtime.kafka.compacted.read_compacted`` does.

        Raises:
            UnavailableError: A transaction is open below the end, which would be waited for in vain here.
        """
        table: dict[tuple[int, bytes], Record] = {}

        def take(record: Record) -> None:
            table[record.partition, record.key or b""] = record

        self.read_range({TopicPartition(topic, number): 0 for number in partitions}, take)
        return {key: record for key, record in table.items() if record.value is not None}

    def read_range(
        self, starts: Mapping[TopicPartition, int], take: Callable[[Record], None]
    ) -> dict[TopicPartition, int]:
        """Do what ``headgate_runtime.kafka.ranges.read_range`` does.

        Raises:
            UnavailableError: A transaction is open below the end, which would be waited for in vain here.
        """
        with self.lock:
            self.check_available()
            ends: dict[TopicPartition, int] = {}
            for partition, start in starts.items():
                log = self.log(partition)
                if log.stable_end < log.end:
                    raise UnavailableError(f"did not reach the end of {partition}: a transaction is open")
                for record in log.visible(start if start >= 0 else max(0, log.end + start), log.end)[0]:
                    take(record)
                ends[partition] = log.end
            return ends

    def append(self, outgoing: OutgoingRecord, transaction: int | None = None) -> Record:
        """Add a record to its partition: the one it names, else its key's, else the next in turn.

        Raises:
            RejectedError: No such topic or partition, or the record is too large.
        """
        with self.lock:
            self.check_available()
            if len(outgoing.key or b"") + len(outgoing.value or b"") > self.max_record_bytes:
                raise RejectedError(f"a record to {outgoing.topic} is larger than the topic allows")
            place = TopicPartition(outgoing.topic, self._partition(outgoing))
            log = self.log(place)
            at_ms = int(self._clock() * 1000) if outgoing.timestamp_ms is None else outgoing.timestamp_ms
            record = Record(*place, log.end, at_ms, outgoing.key, outgoing.value, outgoing.headers)
            log.append(record, transaction)
            return record

    def take_over(self, transactional_id: str) -> int:
        """Fence the last holder of a transactional id, abort what it left open, return the new epoch."""
        with self.lock:
            self.check_available()
            state = self._transactions.setdefault(transactional_id, _Transaction())
            self._end(state, committed=False)
            state.epoch += 1
            return state.epoch

    def add(self, transactional_id: str, epoch: int, record: OutgoingRecord) -> None:
        """Add a record to the transaction of an id, opened by its first record."""
        with self.lock:
            state = self._holder(transactional_id, epoch)
            state.number = state.number or next(self._numbers)
            added = self.append(record, state.number)
            state.touched.add(added.source)

    def end(
        self, transactional_id: str, epoch: int, *, committed: bool, effect: Callable[[], None] | None = None
    ) -> None:
        """Commit or abort the transaction of an id; ``effect`` happens with the commit, or refuses it by raising."""
        with self.lock:
            state = self._holder(transactional_id, epoch)
            if effect is not None:
                effect()
            self._end(state, committed=committed)

    def check_available(self) -> None:
        """Raise ``UnavailableError`` while the broker is away."""
        if not self.available:
            raise UnavailableError("the broker does not answer")

    def _holder(self, transactional_id: str, epoch: int) -> _Transaction:
        self.check_available()
        state = self._transactions[transactional_id]
        if state.epoch != epoch:
            raise FencedError(f"another producer holds the transactional id {transactional_id!r}")
        return state

    def _end(self, state: _Transaction, *, committed: bool) -> None:
        for partition in state.touched:
            if state.number is not None:
                self.log(partition).decide(state.number, committed=committed)
        state.number, state.touched = None, set()

    def _partition(self, record: OutgoingRecord) -> int:
        if record.partition is not None:
            return record.partition
        partitions = len(self._logs(record.topic))
        return next(self._turn) % partitions if record.key is None else partition_of(record.key, partitions)

    def _logs(self, topic: str) -> list[PartitionLog]:
        if topic not in self._topics:
            raise RejectedError(f"topic {topic!r} does not exist: create it with `headgate topics apply`")
        return self._topics[topic]
