"""Random draws that come out the same on every Python: only ``Random.random`` keeps its sequence between versions."""

from __future__ import annotations

from math import cos, exp, log, pi, sqrt
from random import Random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Draws:
    """A seeded source of draws."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random  # noqa: S311 - synthetic traffic, not a secret

    def chance(self, share: float) -> bool:
        """True in ``share`` of the draws."""
        return self._random() < share

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included, each as likely."""
        return low + int(self._random() * (high - low + 1))

    def between(self, low: float, high: float) -> float:
        """A number from low to high, evenly."""
        return low + self._random() * (high - low)

    def pick(self, among: Sequence[T]) -> T:
        """One of a sequence, each as likely."""
        return among[int(self._random() * len(among))]

    def log_normal(self, median: float, sigma: float) -> float:
        """A log-normal number by its median and the deviation of its logarithm."""
        # 1 - random() is never 0, of which there is no logarithm.
        normal = sqrt(-2.0 * log(1.0 - self._random())) * cos(2.0 * pi * self._random())
        return median * exp(sigma * normal)
