"""The only owner of retries of model calls: bounded attempts, full jitter, Retry-After, a deadline."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError

from headgate_enricher.bedrock.deadline import deadline_s
from headgate_enricher.bedrock.errors import classify

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from headgate_enricher.bedrock.errors import Reason

T = TypeVar("T")

# How often a call may be repeated for a reason. What a model was busy with when it failed may be paid for: once only.
_REPEATS: Mapping[Reason, float] = {
    "throttled": float("inf"),
    "unavailable": float("inf"),
    "timeout": 1,
    "model_error": 1,
}


class DeadlineError(TimeoutError):
    """The deadline passed before an attempt could start; nothing was sent."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to repeat a failed attempt, and after which wait.

    Attributes:
        max_attempts: Attempts of one call in all.
        base_s: Upper bound of the wait after the first attempt, doubled after each.
        cap_s: Upper bound of every wait; a longer Retry-After ends the call instead.
    """

    max_attempts: int
    base_s: float
    cap_s: float

    def wait_s(self, failures: Counter[Reason], reason: Reason, retry_after_s: float | None) -> float | None:
        """Seconds to wait before the next attempt; None when there is to be none.

        Args:
            failures: Failed attempts so far by reason, the last one included.
            reason: Why the last attempt failed.
            retry_after_s: What the endpoint asked for, None where it did not.
        """
        attempts = failures.total()
        if attempts >= self.max_attempts or failures[reason] > _REPEATS.get(reason, 0):
            return None
        if retry_after_s is not None and retry_after_s > self.cap_s:
            return None
        bound_s = min(self.cap_s, self.base_s * 2.0 ** (attempts - 1))
        return max(retry_after_s or 0.0, random.uniform(0, bound_s))  # noqa: S311 (spreads load, guards nothing)

    async def run(self, attempt: Callable[[float], Awaitable[T]]) -> tuple[T, int]:
        """Attempt until one succeeds; returns its result and how many failed before.

        Args:
            attempt: Makes one attempt; gets the seconds left until the deadline.

        Raises:
            DeadlineError: The deadline had passed before the first attempt.
            Exception: What the last attempt raised, when no other may or can follow before the deadline.
        """
        failures: Counter[Reason] = Counter()
        end_s = deadline_s()
        while True:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise DeadlineError("The deadline passed before the model was asked.")
            try:
                return await attempt(left_s), failures.total()
            except Exception as error:
                reason = classify(error)
                failures[reason] += 1
                wait_s = self.wait_s(failures, reason, _retry_after_s(error))
                if wait_s is None or time.monotonic() + wait_s >= end_s:
                    raise
            await asyncio.sleep(wait_s)


def _retry_after_s(error: Exception) -> float | None:
    """Seconds of the Retry-After header, given as a number or as a date; None where there is none that can be read."""
    if not isinstance(error, ClientError):
        return None
    value = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
