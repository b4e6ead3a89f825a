"""The purse calls are paid from: granted by the ledger, in the order of its log, before the call is made."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from headgate_runtime.errors import UnavailableError

from headgate_enricher.budget.ledger import Amount, Reserve, Settle
from headgate_enricher.budget.log import BudgetUnavailableError
from headgate_enricher.budget.metrics import OVER_LIMIT, UNAVAILABLE

if TYPE_CHECKING:
    from concurrent.futures import Future

    from headgate_enricher.budget.log import BudgetLog
    from headgate_enricher.budget.metrics import BudgetMetrics


class LedgerReservation:
    """An amount that the ledger has set aside for one call."""

    __slots__ = ("_id", "_log")

    def __init__(self, log: BudgetLog, reservation_id: str) -> None:
        self._log: BudgetLog | None = log
        self._id = reservation_id

    def settle(self, tokens: int, cost_microdollars: int) -> None:
        """Say what the call has used; only the first word counts. Never waits."""
        log, self._log = self._log, None
        if log is not None:
            log.settle(Settle(self._id, Amount(tokens, cost_microdollars)))


class LedgerPurse:
    """A ``Purse``; lives on the model thread.

    Args:
        log: The ledger.
        timeout_s: How long a call may wait for its reservation.
        metrics: Metrics of the budget.
    """

    def __init__(self, log: BudgetLog, *, timeout_s: float, metrics: BudgetMetrics) -> None:
        self._log = log
        self._timeout_s = timeout_s
        self._metrics = metrics

    async def reserve(self, agent: str, tenant: str, tokens: int, cost_microdollars: int) -> LedgerReservation | None:
        """Set aside the most a call can use; None where a limit of its agent or tenant does not allow it.

        Raises:
            BudgetUnavailableError: The ledger did not answer in time.
        """
        entry = Reserve(self._log.new_id(), agent, tenant, Amount(tokens, cost_microdollars))
        if self._log.grant_unlimited(entry):
            return LedgerReservation(self._log, entry.id)
        # What is refused here would be refused there too, and a demand far above the limit must not fill the log.
        granted = self._log.fits(entry) and await self._ask(entry)
        if not granted:
            self._metrics.refused(OVER_LIMIT)
            return None
        return LedgerReservation(self._log, entry.id)

    async def _ask(self, entry: Reserve) -> bool:
        started_s = time.monotonic()
        answer = self._log.ask(entry)
        heard = False
        try:
            async with asyncio.timeout(self._timeout_s):
                granted = await asyncio.wrap_future(answer)
            heard = True
        except TimeoutError as error:
            self._metrics.refused(UNAVAILABLE)
            raise BudgetUnavailableError(f"the budget ledger gave no answer within {self._timeout_s:g} s") from error
        except UnavailableError:
            self._metrics.refused(UNAVAILABLE)
            raise
        finally:
            if not heard:
                self._withdraw(entry, answer)
        self._metrics.answered(time.monotonic() - started_s)
        return granted

    def _withdraw(self, entry: Reserve, answer: Future[bool]) -> None:
        """Leave nothing set aside for a call that will not be made."""

        def give_back(done: Future[bool]) -> None:
            if not done.cancelled() and done.exception() is None and done.result():
                self._log.settle(Settle(entry.id, Amount()))

        if not answer.cancel():
            answer.add_done_callback(give_back)
