"""Requests and tokens a minute: a call is told when it may start, in the order in which calls asked."""

from __future__ import annotations

import math

WINDOW_S = 60.0
_BURST = 1 / 6


class Allowance:
    """A token bucket that may be drawn into debt, which is waited off.

    It holds a sixth of the limit and fills with the rest of it, so that what starts within any minute stays within the
    limit: a bucket of one whole minute, which also fills during that minute, would let out twice as much. Where a single
    amount is larger than the bucket, the bucket grows and fills more slowly.

    Args:
        per_minute: The limit; at least 6.
        now_s: Now, monotonic seconds.
    """

    def __init__(self, per_minute: int, now_s: float) -> None:
        self._per_minute = per_minute
        self._size = per_minute * _BURST
        self._level = self._size
        self._at_s = now_s

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until an amount could start; infinite where it is no less than a minute's limit."""
        if amount >= self._per_minute:
            return math.inf
        self._level = min(self._size, self._level + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if amount > self._size:
            self._level -= amount - self._size
            self._size = amount
        return max(0.0, (amount - self._level) / self._per_s)

    def take(self, amount: float) -> None:
        """Take an amount; a negative one gives back."""
        self._level = min(self._size, self._level - amount)

    @property
    def _per_s(self) -> float:
        return (self._per_minute - self._size) / WINDOW_S


class Limiter:
    """Both limits of one model; None sets none.

    Args:
        requests_per_minute: Attempts a minute.
        tokens_per_minute: Tokens a minute, reserved as the most an attempt can use.
        now_s: Now, monotonic seconds.
    """

    def __init__(self, requests_per_minute: int | None, tokens_per_minute: int | None, now_s: float) -> None:
        self._requests = Allowance(requests_per_minute, now_s) if requests_per_minute else None
        self._tokens = Allowance(tokens_per_minute, now_s) if tokens_per_minute else None

    def reserve(self, tokens: int, now_s: float, deadline_s: float) -> float | None:
        """Reserve an attempt and say after how many seconds it may start; None, and no reservation, if past the deadline."""
        waits_s = [0.0]
        if self._requests is not None:
            waits_s.append(self._requests.wait_s(1, now_s))
        if self._tokens is not None:
            waits_s.append(self._tokens.wait_s(tokens, now_s))
        wait_s = max(waits_s)
        if now_s + wait_s >= deadline_s:
            return None
        if self._requests is not None:
            self._requests.take(1)
        if self._tokens is not None:
            self._tokens.take(tokens)
        return wait_s

    def give_back(self, tokens: int) -> None:
        """Return tokens that were reserved and not used."""
        if self._tokens is not None:
            self._tokens.take(-tokens)

    def cancel(self, tokens: int) -> None:
        """Return a reservation whose attempt was not made."""
        self.give_back(tokens)
        if self._requests is not None:
            self._requests.take(-1)
