"""Bounds of what is done between two commits."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds.

    Attributes:
        commit_interval_s: Least time between two commits.
        max_outputs: Records waiting for a commit at which it comes at once.
        closed_at_once: Keys of a definition and partition whose windows are closed before the next look at the bounds.
    """

    commit_interval_s: float
    max_outputs: int
    closed_at_once: int
