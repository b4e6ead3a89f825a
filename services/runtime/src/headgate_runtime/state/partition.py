"""The states of one partition's keys: what is newest, and what the next commit has to write down."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headgate_runtime.state.spill import Spill

State = TypeVar("State")

_EVICTED_AT_ONCE: Final = 1_000
_EVICTED_PART: Final = 16


class Codec(Protocol[State]):
    """Writes a state as the value of a changelog record, and reads it."""

    def dump(self, state: State) -> bytes:
        """Encode a state."""

    def load(self, value: bytes) -> State:
        """Decode a state.

        Raises:
            UndecodableError: The bytes are no state.
        """


class PartitionState(Generic[State]):
    """States by key. A key has two of them that count: the newest, and the one that goes into the next commit.

    They differ where an event's effects are committed later than the next event of its key is looked at. The newest
    states are kept in memory up to a capacity; the longest unused ones wait on disk, encoded.

    Args:
        codec: Writes and reads states.
        spill: Takes what memory has no room for.
        capacity: Most keys in memory.
    """

    def __init__(self, codec: Codec[State], spill: Spill, capacity: int) -> None:
        self._codec = codec
        self._spill = spill
        self._capacity = capacity
        # A key is in one of the three: decoded and in order of use, as restored, or on disk.
        self._live: dict[bytes, State] = {}
        self._restored: dict[bytes, bytes] = {}
        self._staged: dict[bytes, State | None] = {}

    @property
    def in_memory(self) -> int:
        """Keys in memory."""
        return len(self._live) + len(self._restored)

    @property
    def on_disk(self) -> int:
        """Keys on disk."""
        return len(self._spill)

    def get(self, key: bytes) -> State | None:
        """The newest state of a key; None where it has none.

        Raises:
            UndecodableError: The changelog's record of the key is no state.
        """
        state = self._live.get(key)
        return state if state is not None else self._decode(key)

    def put(self, key: bytes, state: State | None) -> None:
        """Make a state the newest of its key; None forgets the key. It is not written down before it is staged.

        Raises:
            UnavailableError: There is no room in memory, and none on disk.
        """
        if self._live.pop(key, None) is None:
            self._discard(key)
        if state is not None:
            self._live[key] = state
            self._make_room()

    def stage(self, key: bytes, state: State | None) -> None:
        """Let a state go into the next commit, in place of any earlier one of its key; None removes the key there."""
        self._staged[key] = state

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """What the next commit has to write: a key each, and its encoded state, or None for its removal."""
        dump = self._codec.dump
        return [(key, None if state is None else dump(state)) for key, state in self._staged.items()]

    def committed(self) -> None:
        """What was staged is written down."""
        self._staged.clear()

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take a record of the changelog, in its order, before anything else is done with the partition."""
        self._restored.pop(key, None)
        self._spill.take(key)
        if value is not None:
            self._restored[key] = value
            self._make_room()

    def encoded(self) -> Iterator[tuple[bytes, bytes]]:
        """Give every key with its encoded state, as restored, before anything else is done with the partition.

        Raises:
            UnavailableError: What is on disk cannot be read.
        """
        yield from self._restored.items()
        yield from self._spill.items()

    def resize(self, capacity: int) -> None:
        """Set the most keys in memory; takes effect with the next key."""
        self._capacity = capacity

    def close(self) -> None:
        """Remove what is on disk."""
        self._spill.close()

    def _decode(self, key: bytes) -> State | None:
        value = self._restored.get(key)
        if value is None:
            value = self._spill.take(key)
            if value is None:
                return None
            self._restored[key] = value
        state = self._codec.load(value)
        del self._restored[key]
        self._live[key] = state
        self._make_room()
        return state

    def _discard(self, key: bytes) -> None:
        if self._restored.pop(key, None) is None:
            self._spill.take(key)

    def _make_room(self) -> None:
        if len(self._live) + len(self._restored) <= self._capacity:
            return
        wanted = min(_EVICTED_AT_ONCE, self._capacity // _EVICTED_PART) + 1
        rows = list(islice(self._restored.items(), wanted))
        unused = list(islice(self._live.items(), wanted - len(rows)))
        self._spill.write([*rows, *((key, self._codec.dump(state)) for key, state in unused)])
        for key, _ in rows:
            del self._restored[key]
        for key, _ in unused:
            del self._live[key]
