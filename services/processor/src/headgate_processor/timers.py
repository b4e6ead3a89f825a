"""Which keys are due, in the order of time; in memory, a few bytes a key that waits."""

from __future__ import annotations

from heapq import heappop, heappush


class Timers:
    """Keys by the time they are due.

    A key may stand under several times, and under one that has passed by: whoever looks at it finds out.
    """

    def __init__(self) -> None:
        self._keys: dict[int, list[bytes]] = {}
        self._times: list[int] = []

    @property
    def next(self) -> int | None:
        """The first time a key is due; None where none is."""
        return self._times[0] if self._times else None

    def add(self, due: int, key: bytes) -> None:
        """Let a key be due at a time."""
        keys = self._keys.get(due)
        if keys is None:
            self._keys[due] = [key]
            heappush(self._times, due)
        else:
            keys.append(key)

    def take(self, until: int, most: int) -> list[bytes]:
        """Remove and give keys due at a time or before, the first ones first, ``most`` of them."""
        taken: list[bytes] = []
        while self._times and self._times[0] <= until and len(taken) < most:
            keys = self._keys[self._times[0]]
            room = most - len(taken)
            taken += keys[:room]
            del keys[:room]
            if not keys:
                del self._keys[heappop(self._times)]
        return taken
