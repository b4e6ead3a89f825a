"""Bounds of the dispatcher: how much it holds, how large and how late anything may get."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the dispatcher.

    Attributes:
        event_deadline_s: How long after triage the model may take before the fallback decides.
        commit_interval_s: Least time between two commits.
        triage_batch: Most events in one triage.
        max_at_model: Grey events at the model at which no more are triaged.
        max_backlog: Events in memory at which consumption pauses; it resumes at half of them.
        max_done_bytes: Size of a partition's done-set at which consumption pauses.
        max_output_bytes: Largest decided event the output topic takes.
        max_wait_s: How long a record may wait for its commit, or a partition for its place, before the service says that
            it is not ready.
    """

    event_deadline_s: float = 5.0
    commit_interval_s: float = 0.1
    triage_batch: int = 500
    max_at_model: int = 1024
    max_backlog: int = 20_000
    max_done_bytes: int = 65_536
    max_output_bytes: int = 1_000_000
    max_wait_s: float = 30.0
