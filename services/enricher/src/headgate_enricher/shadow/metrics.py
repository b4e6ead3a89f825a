"""What an operator watches of a shadow: how often it decides otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_runtime.metrics import Metrics


class ShadowMetrics:
    """Metrics of the comparison.

    Args:
        metrics: The service's registry.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._compared = metrics.counter("decisions_compared", "Decisions a shadow agent was held against.", ("agent",))
        self._diverged = metrics.counter(
            "decisions_diverged", "Those it decides otherwise.", ("agent", "holding", "shadow")
        )

    def compared(self, agent: str, holding: str, shadow: str) -> None:
        """Count a comparison of the decision that holds with that of a shadow agent."""
        self._compared.labels(agent).inc()
        if holding != shadow:
            self._diverged.labels(agent, holding, shadow).inc()
