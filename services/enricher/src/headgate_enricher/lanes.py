"""Lanes: the events of one key leave in the order they came, and no key waits for another."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Lanes(Generic[Item]):
    """Order within a key while some of its events take long.

    A slow item that may go opens its key's lane; what follows of that key waits in it until the slow one has left.
    Items without a key have no order to keep: they never wait and open no lane.
    """

    __slots__ = ("_lanes", "_waiting")

    def __init__(self) -> None:
        self._lanes: dict[bytes, deque[tuple[Item, bool]]] = {}
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Items that wait behind a slow one."""
        return self._waiting

    def holds(self, key: bytes) -> bool:
        """Whether a slow item of the key is under way."""
        return key in self._lanes

    def enter(self, key: bytes | None, item: Item, *, slow: bool) -> bool:
        """Put an item behind those of its key; True if it may go now (and, where slow, holds the lane)."""
        if key is None:
            return True
        lane = self._lanes.get(key)
        if lane is not None:
            lane.append((item, slow))
            self._waiting += 1
            return False
        if slow:
            self._lanes[key] = deque()
        return True

    def leave(self, key: bytes | None) -> list[Item]:
        """The slow item that held the lane has left.

        Returns:
            The items that may go now, in order. Where the last of them is slow it holds the lane from here on;
            otherwise the lane is closed.
        """
        if key is None:
            return []
        lane = self._lanes[key]
        freed: list[Item] = []
        while lane:
            item, slow = lane.popleft()
            self._waiting -= 1
            freed.append(item)
            if slow:
                return freed
        del self._lanes[key]
        return freed
