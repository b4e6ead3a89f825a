"""How many calls a model takes at the same time: found out by adding a few and halving when it throttles."""

from __future__ import annotations

import asyncio
from collections import deque


class AdaptiveLimit:
    """Additive increase, multiplicative decrease; fed with times in monotonic seconds.

    Args:
        most: Upper bound, and where it begins.
    """

    FLOOR = 4
    STEP = 4.0  # per round of calls
    DECREASE = 0.5

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._floor = float(min(self.FLOOR, most))
        self._limit = self._most
        self._cut_s = float("-inf")

    @property
    def limit(self) -> int:
        """Calls that may run at the same time; at least one."""
        return int(self._limit)

    @property
    def at_floor(self) -> bool:
        """Whether it cannot go lower."""
        return self._limit <= self._floor

    def answered(self, in_flight: int) -> None:
        """A call was answered while so many were under way; a limit that nobody reaches is not raised."""
        if in_flight >= self.limit:
            self._limit = min(self._most, self._limit + self.STEP / self._limit)

    def throttled(self, began_s: float, now_s: float) -> None:
        """A call was throttled; calls that began before the last decrease do not cause another."""
        if began_s >= self._cut_s:
            self._limit = max(self._floor, self._limit * self.DECREASE)
            self._cut_s = now_s


class Slots:
    """Lets calls start in the order they came, as long as fewer than the limit are under way.

    Belongs to one event loop.

    Args:
        limit: Says how many may run.
    """

    def __init__(self, limit: AdaptiveLimit) -> None:
        self.limit = limit
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return self._in_flight

    async def acquire(self) -> None:
        """Wait for a slot."""
        if not self._waiting and self._in_flight < self.limit.limit:
            self._in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.release()  # the slot had come already
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Give a slot back, and let those start that the limit allows now."""
        self._in_flight -= 1
        while self._waiting and self._in_flight < self.limit.limit:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._in_flight += 1
                turn.set_result(None)
