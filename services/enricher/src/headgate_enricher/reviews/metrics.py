"""What an operator watches: outcomes joined, how long people took, and what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_runtime.metrics import Metrics

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
ANSWER_BUCKETS_S = (MINUTE_S, 5 * MINUTE_S, 15 * MINUTE_S, HOUR_S, 4 * HOUR_S, 12 * HOUR_S, DAY_S, 3 * DAY_S, 7 * DAY_S)
TRANSACTION_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)


class ReviewsMetrics:
    """The join's metrics; what is joined counts once it is committed.

    Args:
        metrics: The service's registry.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._joined = metrics.counter("outcomes_joined", "Outcomes that made a later record.", ("action",))
        self._repeated = metrics.counter(
            "outcomes_repeated", "Outcomes passed over: joined before the offset was reset."
        )
        self._dead_letters = metrics.counter("dead_letters", "Records given up on.", ("cause",))
        self._answer = metrics.histogram(
            "review_answer_seconds", "Review asked for to decision of the person.", buckets=ANSWER_BUCKETS_S
        )
        self._transaction = metrics.histogram(
            "transaction_seconds", "Commit call to acknowledgement.", buckets=TRANSACTION_BUCKETS_S
        )
        self._aborted = metrics.counter("transactions_aborted", "Transactions to be repeated.")

    def committed(self, seconds: float, joined: Sequence[tuple[str, float]]) -> None:
        """Count a commit of outcomes, each with its action and the seconds the person took."""
        self._transaction.observe(seconds)
        for action, answer_s in joined:
            self._joined.labels(action).inc()
            self._answer.observe(answer_s)

    def aborted(self) -> None:
        """Count a transaction that is to be repeated."""
        self._aborted.inc()

    def gave_up(self, cause: str) -> None:
        """Count a dead letter."""
        self._dead_letters.labels(cause).inc()

    def repeated(self) -> None:
        """Count an outcome that has been joined already."""
        self._repeated.inc()
