"""A consumer of the broker in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_runtime.errors import RejectedError, UnavailableError
from headgate_runtime.records import EARLIEST
from headgate_runtime.testing.group import GroupMetadata

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from headgate_runtime.kafka.protocols import OnAssign, OnRemove
    from headgate_runtime.records import Record, TopicPartition
    from headgate_runtime.testing.broker import MemoryBroker


class MemoryConsumer:
    """A ``RecordConsumer`` in memory; it takes part in rebalances when it polls, and never waits."""

    def __init__(self, broker: MemoryBroker, group_id: str) -> None:
        self._broker = broker
        self._group = broker.group(group_id)
        self._topics: tuple[str, ...] = ()
        self._callbacks: tuple[OnAssign, OnRemove, OnRemove] | None = None
        self._member_id = ""
        self._generation = 0
        self._joined = False
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._turn = 0

    def subscribe(self, topics: Sequence[str], *, on_assign: OnAssign, on_revoke: OnRemove, on_lost: OnRemove) -> None:
        """Join the group with the first poll."""
        self._topics = tuple(topics)
        self._callbacks = (on_assign, on_revoke, on_lost)

    def resubscribe(self, topics: Sequence[str]) -> None:
        """Read these topics instead, from the next poll on."""
        self._topics = tuple(topics)
        if self._member_id:
            self._group.want(self._member_id, self._wanted())

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:  # noqa: ARG002 - nothing comes by waiting
        """Take part in what the group does, then return what can be read now."""
        with self._broker.lock:
            self._broker.check_available()
            self._rebalance()
            records: list[Record] = []
            readable = sorted(self._positions.keys() - self._paused)
            self._turn += 1  # another partition comes first each time, so that none starves
            for index in range(len(readable)):
                partition = readable[(self._turn + index) % len(readable)]
                found, position = self._read(partition, max_records - len(records))
                records += found
                self._positions[partition] = position
            return records

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Stop returning records of the partitions."""
        self._require_owned(partitions)
        self._paused |= set(partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Return records of the partitions again."""
        self._require_owned(partitions)
        self._paused -= set(partitions)

    def assignment(self) -> list[TopicPartition]:
        """Return the partitions owned now."""
        return list(self._positions)

    def position(self, partition: TopicPartition) -> int | None:
        """Return the next offset to be consumed, past any gap already skipped."""
        return self._positions.get(partition)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read an owned partition from another offset on."""
        self._require_owned([partition])
        self._positions[partition] = offset

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the group's committed offsets; a partition without one is absent."""
        self._broker.check_available()
        return {each: offset for each, offset in self._group.committed.items() if each in set(partitions)}

    def begin_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first offset of each partition; logs in memory keep everything."""
        self._broker.check_available()
        return dict.fromkeys(partitions, 0)

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the last stable offset of each partition."""
        self._broker.check_available()
        return {partition: self._broker.log(partition).stable_end for partition in partitions}

    def refusal(self) -> None:
        """Return None: a broker in memory refuses nobody."""

    def lag(self) -> dict[TopicPartition, int]:
        """Return records behind per owned partition."""
        return {each: max(0, self._broker.log(each).stable_end - at) for each, at in self._positions.items()}

    def commit(self, offsets: Mapping[TopicPartition, int], *, wait: bool = True) -> None:
        """Commit the group's next offsets; see ``RecordConsumer``."""
        with self._broker.lock:
            try:
                self._broker.check_available()
                if offsets:
                    self._group.commit(dict(offsets), self.group_metadata())
            except UnavailableError:
                if wait:
                    raise

    def group_metadata(self) -> GroupMetadata:
        """Return this member's proof of membership."""
        if not self._member_id:
            raise UnavailableError(f"not a member of group {self._group.group_id!r} now: poll until it has rejoined")
        return GroupMetadata(self._group.group_id, self._member_id, self._generation)

    def close(self) -> None:
        """Leave the group; ``on_revoke`` runs for what is still owned."""
        with self._broker.lock:
            if not self._member_id:
                return
            self._revoke(set(self._positions))
            self._group.leave(self._member_id)
            self._member_id = ""

    def expire(self) -> None:
        """Do what happens to a member that stalls beyond its session: the group goes on without it."""
        with self._broker.lock:
            self._group.leave(self._member_id)

    def _rebalance(self) -> None:
        if self._callbacks is None:
            return
        on_assign, _, on_lost = self._callbacks
        if self._member_id and not self._group.has(self._member_id):
            lost = sorted(self._positions)
            self._forget(lost)
            self._member_id = ""
            on_lost(lost)
        if not self._member_id:
            self._member_id = self._group.join(self._wanted())
        self._generation = self._group.generation
        target = self._group.target(self._member_id)
        self._revoke(self._positions.keys() - target)
        new = sorted(each for each in target - self._positions.keys() if self._group.claim(self._member_id, each))
        if new or not self._joined:
            self._joined = True
            starts = on_assign(new)
            for partition in new:
                committed = self._group.committed.get(partition, 0)
                start = starts.get(partition, committed)
                self._positions[partition] = 0 if start == EARLIEST else start

    def _wanted(self) -> list[TopicPartition]:
        return [partition for topic in self._topics for partition in self._broker.partitions(topic)]

    def _revoke(self, partitions: Collection[TopicPartition]) -> None:
        if not partitions or self._callbacks is None:
            return
        gone = sorted(partitions)
        self._callbacks[1](gone)
        self._forget(gone)
        for partition in gone:
            self._group.release(partition)

    def _forget(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            self._positions.pop(partition)
            self._paused.discard(partition)

    def _read(self, partition: TopicPartition, limit: int) -> tuple[list[Record], int]:
        log, position = self._broker.log(partition), self._positions[partition]
        if not 0 <= position <= log.end:
            raise RejectedError(f"offset {position} is outside the log of {partition.topic}/{partition.partition}")
        return log.visible(position, limit)

    def _require_owned(self, partitions: Collection[TopicPartition]) -> None:
        if foreign := set(partitions) - self._positions.keys():
            raise RejectedError(f"not assigned to this consumer: {sorted(foreign)}")
