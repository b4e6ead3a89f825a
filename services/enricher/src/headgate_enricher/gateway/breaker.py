"""A circuit breaker: stops calls to a model that fails, and lets a few through after a while to see whether it mended."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "half_open", "open"]


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When to stop calls and when to try again.

    Attributes:
        window: How many of the last calls are looked at.
        least: Calls in the window before anything is concluded.
        share: Share of failures among them that opens the breaker.
        open_s: Seconds it stays open; doubled whenever a probe fails.
        cap_s: Longest time it stays open.
        probes: Calls that have to succeed before it closes, and that may run at the same time until then.
    """

    window: int = 20
    least: int = 5
    share: float = 0.5
    open_s: float = 1.0
    cap_s: float = 30.0
    probes: int = 2


class Breaker:
    """The breaker of one model; fed with times in monotonic seconds.

    A call asks for a ticket before it starts and hands it back with how it ended. Tickets of calls that began before
    the breaker last changed say nothing about now, and are ignored.

    Args:
        policy: When to stop and when to try again.
    """

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._good: deque[bool] = deque(maxlen=policy.window)
        self._reopens_s: float | None = None
        self._open_s = policy.open_s
        self._ticket = 0
        self._probing = 0
        self._proven = 0

    def state(self, now_s: float) -> State:
        """What the breaker does with calls now."""
        if self._reopens_s is None:
            return "closed"
        return "open" if now_s < self._reopens_s else "half_open"

    def admits(self, now_s: float) -> bool:
        """Whether a call would get a ticket now."""
        state = self.state(now_s)
        return state == "closed" or (state == "half_open" and self._probing + self._proven < self._policy.probes)

    def enter(self, now_s: float) -> int | None:
        """A ticket for one call; None where none may start."""
        if not self.admits(now_s):
            return None
        if self._reopens_s is not None:
            self._probing += 1
        return self._ticket

    def leave(self, ticket: int, now_s: float, *, good: bool | None) -> None:
        """Hand a ticket back.

        Args:
            ticket: The call's ticket.
            now_s: Now.
            good: Whether the model did what it should; None where the call says nothing about that.
        """
        if ticket != self._ticket:
            return
        if self._reopens_s is None:
            self._judge(now_s, good=good)
            return
        self._probing -= 1
        if good:
            self._proven += 1
            if self._proven >= self._policy.probes:
                self._close()
        elif good is not None:
            self._open(now_s, min(self._policy.cap_s, self._open_s * 2))

    def park(self, now_s: float) -> None:
        """Open for the longest time: the model will not answer before somebody has mended something."""
        self._open(now_s, self._policy.cap_s)

    def _judge(self, now_s: float, *, good: bool | None) -> None:
        if good is None:
            return
        self._good.append(good)
        calls = len(self._good)
        if good:
            return
        if calls >= self._policy.least and self._good.count(False) >= self._policy.share * calls:
            self._open(now_s, self._policy.open_s)

    def _open(self, now_s: float, seconds: float) -> None:
        self._reopens_s = now_s + seconds
        self._open_s = seconds
        self._turn()

    def _close(self) -> None:
        self._reopens_s = None
        self._turn()

    def _turn(self) -> None:
        self._ticket += 1
        self._probing = self._proven = 0
        self._good.clear()
