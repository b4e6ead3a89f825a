"""A steady rate, whatever the caller does in between."""

from __future__ import annotations

import time


class Pace:
    """Says how many events are due at a steady rate, from its making on."""

    def __init__(self, per_s: float, events: int) -> None:
        self._per_s = per_s
        self._left = events
        self._began_s = time.monotonic()
        self._given = 0

    @property
    def over(self) -> bool:
        """Whether all have been due."""
        return self._left <= 0

    def due(self) -> int:
        """Events due since the last call."""
        ahead = int((time.monotonic() - self._began_s) * self._per_s) - self._given
        count = max(0, min(ahead, self._left))
        self._given += count
        self._left -= count
        return count
