"""What an operator watches of the budget: spent, set aside, left, refused, and what a reservation costs in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_runtime.metrics import Metrics

    from headgate_enricher.budget.ledger import Amount, Ledger

RESERVATION_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2)
OVER_LIMIT = "over_limit"
UNAVAILABLE = "unavailable"


class BudgetMetrics:
    """Metrics of the budget; the gauges are of the present hour and day."""

    def __init__(self, metrics: Metrics) -> None:
        labels = ("scope", "name", "window", "measure")
        self._settled = metrics.gauge("budget_spent", "Used in the present window (tokens, microdollars).", labels)
        self._reserved = metrics.gauge("budget_reserved", "Set aside in the present window and not settled.", labels)
        self._left = metrics.gauge("budget_left", "Limit less what is spent and set aside.", labels)
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
        for gauge in (self._settled, self._reserved, self._left):
            gauge.clear()
        for scope, length, account in ledger.accounts(at_ms):
            limit = ledger.limits.of(scope, length)
            bounds = (None, None) if limit is None else (limit.tokens, limit.cost_microdollars)
            amounts = zip(
                ("tokens", "microdollars"),
                _measures(account.settled),
                _measures(account.reserved),
                bounds,
                strict=True,
            )
            for measure, settled, reserved, bound in amounts:
                labels = (scope.kind, scope.name, length, measure)
                self._settled.labels(*labels).set(settled)
                self._reserved.labels(*labels).set(reserved)
                if bound is not None:
                    self._left.labels(*labels).set(bound - settled - reserved)


def _measures(amount: Amount) -> tuple[int, int]:
    return amount.tokens, amount.cost_microdollars
