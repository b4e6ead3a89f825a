"""What an operator watches of the budget: spent, set aside, left, refused, and what a reservation costs in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_runtime.metrics import Metrics
    from prometheus_client import Gauge

    from headgate_enricher.budget.ledger import Amount, Ledger

RESERVATION_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2)
OVER_LIMIT = "over_limit"
UNAVAILABLE = "unavailable"
UNITS = ("tokens", "microdollars")


class BudgetMetrics:
    """Metrics of the budget; the gauges are of the present hour and day."""

    def __init__(self, metrics: Metrics) -> None:
        labels = ("scope", "name", "window")

        def in_units(name: str, documentation: str) -> list[Gauge]:
            return [metrics.gauge(f"{name}_{unit}", documentation, labels) for unit in UNITS]

        self._settled = in_units("budget_spent", "Used in the present window.")
        self._reserved = in_units("budget_reserved", "Set aside in the present window and not settled.")
        self._left = in_units("budget_left", "Limit less what is spent and set aside.")
        self._refused = metrics.counter("budget_refusals", "Reservations that were not granted.", ("reason",))
        self._seconds = metrics.histogram(
            "budget_reservation_seconds", "Asked for to granted or refused.", buckets=RESERVATION_BUCKETS_S
        )
        self._unreadable = metrics.gauge("budget_unreadable_entries", "Records of the ledger that are no entries.")

    def refused(self, reason: str) -> None:
        """Count a refusal."""
        self._refused.labels(reason).inc()

    def answered(self, seconds: float) -> None:
        """Count the time a reservation took."""
        self._seconds.observe(seconds)

    def show(self, ledger: Ledger, at_ms: int, unreadable: int) -> None:
        """Show the ledger as of a time."""
        self._unreadable.set(unreadable)
        # A tenant that is idle in this window has no account: what was shown for it must go.
        for gauge in (*self._settled, *self._reserved, *self._left):
            gauge.clear()
        for scope, length, account in ledger.accounts(at_ms):
            limit = ledger.limits.of(scope, length)
            bounds = (None, None) if limit is None else (limit.tokens, limit.cost_microdollars)
            amounts = zip(_measures(account.settled), _measures(account.reserved), bounds, strict=True)
            labels = (scope.kind, scope.name, length)
            for unit, (settled, reserved, bound) in enumerate(amounts):
                self._settled[unit].labels(*labels).set(settled)
                self._reserved[unit].labels(*labels).set(reserved)
                if bound is not None:
                    self._left[unit].labels(*labels).set(bound - settled - reserved)


def _measures(amount: Amount) -> tuple[int, int]:
    return amount.tokens, amount.cost_microdollars
