"""The only owner of retries of model calls: bounded attempts, full jitter, Retry-After, a deadline."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

import aiohttp
from botocore.exceptions import ClientError

from headgate_enricher.bedrock.deadline import deadline_s
from headgate_enricher.bedrock.errors import classify

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from headgate_enricher.bedrock.errors import Reason

T = TypeVar("T")

_REPEATED: frozenset[Reason] = frozenset({"throttled", "unavailable", "timeout", "model_error"})

# What a model was busy with when the call failed may be paid for all the same: such failures are repeated once only.
_PERHAPS_PAID: frozenset[Reason] = frozenset({"timeout", "model_error"})


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

    def wait_s(self, failures: Sequence[Exception]) -> float | None:
        """Seconds to wait before the next attempt; None when there is to be none.

        Args:
            failures: What the attempts so far raised, in their order; at least one.
        """
        last = failures[-1]
        if self._spent(failures) or classify(last) not in _REPEATED:
            return None
        retry_after_s = _retry_after_s(last) or 0.0
        if retry_after_s > self.cap_s:
            return None
        bound_s = min(self.cap_s, self.base_s * 2.0 ** (len(failures) - 1))
        return max(retry_after_s, random.uniform(0, bound_s))  # noqa: S311 (spreads load, guards nothing)

    async def run(
        self, attempt: Callable[[float], Awaitable[T]], elsewhere: Callable[[Exception], bool] = lambda _: False
    ) -> tuple[T, int]:
        """Attempt until one succeeds; returns its result and how many failed before.

        Args:
            attempt: Makes one attempt; gets the seconds left until the deadline.
            elsewhere: Says after a failure whether the next attempt would go to another model, which has done nothing
                to be waited for; it counts among the attempts all the same.

        Raises:
            DeadlineError: The deadline had passed before the first attempt.
            Exception: What the last attempt raised, when no other may or can follow before the deadline.
        """
        failures: list[Exception] = []
        end_s = deadline_s()
        while True:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise failures[-1] if failures else DeadlineError("The deadline passed before the model was asked.")
            try:
                return await attempt(left_s), len(failures)
            except Exception as error:
                failures.append(error)
                onward = not self._spent(failures) and elsewhere(error)
                wait_s = 0.0 if onward else self.wait_s(failures)
                if wait_s is None or time.monotonic() + wait_s >= end_s:
                    raise
            await asyncio.sleep(wait_s)

    def _spent(self, failures: Sequence[Exception]) -> bool:
        return len(failures) >= self.max_attempts or sum(map(perhaps_paid, failures)) > 1


def perhaps_paid(error: Exception) -> bool:
    """Whether the provider may charge for an attempt that failed so."""
    return isinstance(error, aiohttp.ClientPayloadError) or classify(error) in _PERHAPS_PAID


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
