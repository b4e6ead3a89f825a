"""A consumer group in memory: members, who owns what, and the generation that fences the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from headgate_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from headgate_runtime.records import TopicPartition


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    """A member's proof of membership."""

    group_id: str
    member_id: str
    generation: int


@dataclass
class Group:
    """Balances partitions incrementally: one moves only after its owner let it go.

    Attributes:
        committed: Next offsets of the group.
        generation: Goes up whenever a member comes or goes.
    """

    group_id: str
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    generation: int = 0
    _members: dict[str, list[TopicPartition]] = field(default_factory=dict)
    _owners: dict[TopicPartition, str] = field(default_factory=dict)
    _ids: count[int] = field(default_factory=lambda: count(1))

    def join(self, partitions: list[TopicPartition]) -> str:
        """Add a member that wants the partitions of its topics; return its id."""
        member_id = f"{self.group_id}-{next(self._ids)}"
        self._members[member_id] = partitions
        self.generation += 1
        return member_id

    def want(self, member_id: str, partitions: list[TopicPartition]) -> None:
        """Change the topics of a member."""
        self._members[member_id] = partitions
        self.generation += 1

    def leave(self, member_id: str) -> None:
        """Remove a member, by its wish or because its session has expired; what it owns is free at once."""
        if self._members.pop(member_id, None) is not None:
            self.generation += 1
        self._owners = {partition: owner for partition, owner in self._owners.items() if owner != member_id}

    def has(self, member_id: str) -> bool:
        """Say whether the member is still in the group."""
        return member_id in self._members

    def target(self, member_id: str) -> set[TopicPartition]:
        """Return what the member should own: an even share, keeping what it has as far as that goes."""
        shares: dict[str, set[TopicPartition]] = {member: set() for member in self._members}
        wanted = sorted({partition for partitions in self._members.values() for partition in partitions})
        quota = -(-len(wanted) // max(1, len(shares)))
        homeless = []
        for partition in wanted:
            owner = self._owners.get(partition)
            if owner is not None and len(shares[owner]) < quota:
                shares[owner].add(partition)
            else:
                homeless.append(partition)
        for partition in homeless:
            takers = [member for member, partitions in self._members.items() if partition in partitions]
            shares[min(takers, key=lambda member: len(shares[member]))].add(partition)
        return shares[member_id]

    def claim(self, member_id: str, partition: TopicPartition) -> bool:
        """Make the member the owner of a partition nobody owns; say whether it is."""
        return self._owners.setdefault(partition, member_id) == member_id

    def release(self, partition: TopicPartition) -> None:
        """Make the partition free."""
        self._owners.pop(partition, None)

    def commit(self, offsets: dict[TopicPartition, int], metadata: GroupMetadata) -> None:
        """Move the group's offsets.

        Raises:
            UnavailableError: The member is not in the group's present generation.
        """
        self.check(metadata)
        self.committed.update(offsets)

    def check(self, metadata: GroupMetadata) -> None:
        """Refuse a member that is not in the group's present generation."""
        if not self.has(metadata.member_id) or metadata.generation != self.generation:
            raise UnavailableError(f"group {self.group_id!r} has moved on: poll until this member has rejoined")
