"""What an operator watches of the profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from headgate_runtime.metrics import Metrics

Outcome = Literal["found", "absent", "unreadable"]


class ProfileMetrics:
    """Metrics of the profiles.

    Args:
        metrics: The service's registry.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._held = metrics.gauge("profiles_held", "Keys whose last windows are at hand.")
        self._newest = metrics.gauge(
            "profiles_newest_timestamp_seconds",
            "When the newest record of a profile that was read was written; 0: none.",
        )
        self._looked_up = metrics.counter("profiles_looked_up", "Profiles wanted for a model.", ("outcome",))

    def followed(self, *, held: int, newest_ms: int) -> None:
        """Show what is at hand."""
        self._held.set(held)
        self._newest.set(newest_ms / 1000)

    def looked_up(self, outcome: Outcome) -> None:
        """Count a profile that was wanted."""
        self._looked_up.labels(outcome).inc()
