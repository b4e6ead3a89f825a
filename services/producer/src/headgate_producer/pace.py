"""Rate control: events a second, kept on average, never made up for in a burst."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SLACK_S = 0.05  # lateness that is made up for; a longer stall (a broker away) moves the schedule instead


class Pace:
    """Says when the next event is due. Fed with time, so that it can be tested without waiting."""

    def __init__(self, rate: float | None, *, clock: Callable[[], float]) -> None:
        """Start unpaced.

        Args:
            rate: Events a second, above 0; None is as fast as it goes.
            clock: Seconds, monotonic.
        """
        self._interval = 0.0 if rate is None else 1.0 / rate
        self._clock = clock
        self._due = clock()

    def take(self) -> float:
        """Claim the next event's turn; return how many seconds to wait for it, 0 where it is due."""
        if self._interval == 0.0:
            return 0.0
        now = self._clock()
        self._due = max(self._due, now - _SLACK_S)
        wait = self._due - now
        self._due += self._interval
        return max(wait, 0.0)
