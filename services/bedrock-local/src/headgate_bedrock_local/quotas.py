"""Requests and tokens a minute, a pair of token buckets for each model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_bedrock_local.wire import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS_A_MINUTE = 60.0


class TokenBucket:
    """A bucket that holds one minute's quota, starts full and fills evenly.

    Args:
        per_minute: Quota a minute; 0 takes everything.
        now_s: Time in seconds of any monotonic clock.
    """

    def __init__(self, per_minute: int, now_s: float) -> None:
        self._per_minute = per_minute
        self._level = float(per_minute)
        self._at_s = now_s

    def holds(self, amount: int, now_s: float) -> bool:
        """Whether the amount could be taken now."""
        filled = self._level + (now_s - self._at_s) * self._per_minute / _SECONDS_A_MINUTE
        self._level = min(float(self._per_minute), filled)
        self._at_s = now_s
        return not self._per_minute or self._level >= amount

    def take(self, amount: int) -> None:
        """Take the amount; a negative one gives back, never above the quota."""
        self._level = min(float(self._per_minute), self._level - amount)


class Quotas:
    """The buckets of every model; a call reserves input and maxTokens, and gives back what the answer did not use."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._limits = (0, 0)
        self._buckets: dict[str, tuple[TokenBucket, TokenBucket]] = {}

    def limit(self, requests_per_minute: int, tokens_per_minute: int) -> None:
        """Set the quotas a minute of every model; buckets start full when either changes."""
        if self._limits != (requests_per_minute, tokens_per_minute):
            self._limits = (requests_per_minute, tokens_per_minute)
            self._buckets.clear()

    def reserve(self, model_id: str, tokens: int, retry_after_s: float | None) -> None:
        """Take one request and the tokens, or neither.

        Raises:
            ServiceError: ThrottlingException, when either bucket holds too little.
        """
        if self._limits == (0, 0):
            return
        now_s = self._clock()
        requests, allowance = self._of(model_id, now_s)
        if not requests.holds(1, now_s):
            raise ServiceError("ThrottlingException", "Too many requests; wait before the next one.", retry_after_s)
        if not allowance.holds(tokens, now_s):
            raise ServiceError("ThrottlingException", "Too many tokens; wait before the next request.", retry_after_s)
        requests.take(1)
        allowance.take(tokens)

    def give_back(self, model_id: str, tokens: int) -> None:
        """Return reserved tokens that the answer did not use."""
        if self._limits != (0, 0):
            self._of(model_id, self._clock())[1].take(-tokens)

    def _of(self, model_id: str, now_s: float) -> tuple[TokenBucket, TokenBucket]:
        buckets = self._buckets.get(model_id)
        if buckets is None:
            requests, tokens = self._limits
            buckets = self._buckets[model_id] = (TokenBucket(requests, now_s), TokenBucket(tokens, now_s))
        return buckets
