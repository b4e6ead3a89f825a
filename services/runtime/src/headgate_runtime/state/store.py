"""The states of all assigned partitions, and the changelog they are restored from."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_runtime.state.partition import Codec, PartitionState
from headgate_runtime.state.spill import Spill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

State = TypeVar("State")
ReadRange = Callable[[Mapping[TopicPartition, int], Callable[[Record], None]], object]
"""Hands over the committed records of partitions from offsets on, up to the ends as they were at the call."""

logger = structlog.get_logger(__name__)


class StateStore(Generic[State]):
    """Keeps states by key, in one namespace or several, for each assigned partition of one topic.

    A partition's changelog is the changelog topic's partition of the same number. Its records belong into the very
    transaction that commits what made the states so; then a restored state is that of the committed offsets.

    Args:
        topic: The compacted changelog topic.
        codecs: Writes and reads states, by namespace: the start of the keys there. Others may share the topic.
        read: Reads the changelog.
        capacity: Most keys in memory, of all partitions and namespaces together.
        folder: Where what does not fit goes; None takes the system's folder for temporary files.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        topic: str,
        codecs: Mapping[str, Codec[State]],
        read: ReadRange,
        capacity: int,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._prefixes = [f"{namespace}/".encode() for namespace in codecs]
        self._codecs = list(codecs.values())
        self._read = read
        self._capacity = capacity
        self._folder = folder
        self._clock = clock
        self._partitions: dict[TopicPartition, tuple[PartitionState[State], ...]] = {}

    @property
    def in_memory(self) -> int:
        """Keys in memory."""
        return sum(state.in_memory for state in self._states())

    @property
    def on_disk(self) -> int:
        """Keys on disk."""
        return sum(state.on_disk for state in self._states())

    def assign(self, sources: Sequence[TopicPartition]) -> None:
        """Restore the states of partitions.

        Call it when the last owner can commit no more: once the group's committed offsets have been read.

        Raises:
            UnavailableError: The changelog cannot be read to its end now, or there is no room for the states.
        """
        if not sources:
            return
        started_s = self._clock()
        for source in sources:
            name = f"{source.topic}-{source.partition}"
            self._partitions[source] = tuple(
                PartitionState(codec, Spill(self._folder, name), self._capacity) for codec in self._codecs
            )
        self._share_capacity()
        by_number = {source.partition: self._partitions[source] for source in sources}
        records = 0

        def take(record: Record) -> None:
            nonlocal records
            records += 1
            for place, prefix in enumerate(self._prefixes):
                if record.key is not None and record.key.startswith(prefix):
                    by_number[record.partition][place].restore(record.key[len(prefix) :], record.value)

        self._read({TopicPartition(self._topic, number): 0 for number in by_number}, take)
        keys = sum(state.in_memory + state.on_disk for states in by_number.values() for state in states)
        seconds = round(self._clock() - started_s, 3)
        logger.info("state restored", partitions=len(sources), keys=keys, records=records, seconds=seconds)

    def of(self, source: TopicPartition) -> tuple[PartitionState[State], ...]:
        """The states of an assigned partition, one each of the namespaces, in their order."""
        return self._partitions[source]

    def changes(self, sources: Collection[TopicPartition]) -> list[OutgoingRecord]:
        """Changelog records of what was staged, one a key, for the transaction that commits these partitions."""
        return [
            OutgoingRecord(self._topic, prefix + key, value, partition=source.partition)
            for source in sources
            for prefix, state in zip(self._prefixes, self._partitions[source], strict=True)
            for key, value in state.changes()
        ]

    def committed(self, sources: Collection[TopicPartition]) -> None:
        """The transaction with the last ``changes`` of these partitions is committed."""
        for source in sources:
            for state in self._partitions[source]:
                state.committed()

    def drop(self, sources: Collection[TopicPartition]) -> None:
        """Forget partitions that belong to another instance now."""
        for source in sources:
            for state in self._partitions.pop(source, ()):
                state.close()
        self._share_capacity()

    def close(self) -> None:
        """Forget all partitions."""
        self.drop(list(self._partitions))

    def _share_capacity(self) -> None:
        states = list(self._states())
        for state in states:
            state.resize(max(1, self._capacity // len(states)))

    def _states(self) -> Iterator[PartitionState[State]]:
        return chain.from_iterable(self._partitions.values())
