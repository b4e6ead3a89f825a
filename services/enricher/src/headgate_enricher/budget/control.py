"""GET and PUT /control/budget: what is spent, and what may be."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import TimeoutError as NoAnswerError
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException
from headgate_runtime.access import REFUSALS, ControlCaller, Problem, audited
from headgate_runtime.errors import UnavailableError
from pydantic import BaseModel, ConfigDict

from headgate_enricher.budget.ledger import WINDOW_MS, Amount, Ledger, SetLimits
from headgate_enricher.budget.limits import Length, LimitTable, ScopeKind

if TYPE_CHECKING:
    from headgate_enricher.budget.log import BudgetLog

TIMEOUT_S = 10.0
UNAVAILABLE: dict[int | str, dict[str, Any]] = {
    HTTPStatus.SERVICE_UNAVAILABLE.value: {"model": Problem, "description": "The ledger does not answer; try again."}
}


class Measures(BaseModel):
    """Tokens and cost; null where nothing limits the measure."""

    tokens: int | None
    cost_microdollars: int | None


class AccountStatus(BaseModel):
    """What a scope has used of its limit in the present window."""

    scope: ScopeKind
    name: str
    window: Length
    ends_at: dt.datetime
    settled: Measures
    reserved: Measures
    left: Measures


class Budget(BaseModel):
    """Limits in force and what is used of them, as every replica sees them."""

    limits: LimitTable
    accounts: list[AccountStatus]


class NewLimits(BaseModel):
    """All limits from now on; one that is left out is gone."""

    model_config = ConfigDict(extra="forbid")

    limits: LimitTable


def budget_router(log: BudgetLog) -> APIRouter:
    """Make the router of ``/control/budget``."""
    router = APIRouter(prefix="/control", tags=["control"], responses=REFUSALS | UNAVAILABLE)

    @router.get("/budget")
    def budget(caller: ControlCaller) -> Budget:  # noqa: ARG001 - the parameter is the guard
        """Show the limits and what is spent and set aside in this hour and day."""
        return _read(log)

    @router.put("/budget")
    def set_budget(caller: ControlCaller, body: NewLimits) -> Budget:
        """Replace all limits, for all replicas, from the entry's place in the ledger on."""
        with audited(caller, "set budget", limits=[limit.model_dump() for limit in body.limits]):
            _set(log, body.limits)
        return _read(log)

    return router


def _set(log: BudgetLog, limits: LimitTable) -> None:
    try:
        log.ask(SetLimits(log.new_id(), limits, proposed=False)).result(TIMEOUT_S)
    except (UnavailableError, NoAnswerError) as error:
        detail = str(error) or f"The budget ledger gave no answer within {TIMEOUT_S:g} s; look before you try again."
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, detail) from error


def _read(log: BudgetLog) -> Budget:
    try:
        return log.read(_budget)
    except UnavailableError as error:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error


def _budget(ledger: Ledger, at_ms: int) -> Budget:
    accounts = []
    for scope, length, account in ledger.accounts(at_ms):
        limit = ledger.limits.of(scope, length)
        window_ms = WINDOW_MS[length]
        end_ms = (max(at_ms, ledger.time_ms) // window_ms + 1) * window_ms
        tokens, cost = (limit.tokens, limit.cost_microdollars) if limit else (None, None)
        counted = account.counted
        accounts.append(
            AccountStatus(
                scope=scope.kind,
                name=scope.name,
                window=length,
                ends_at=dt.datetime.fromtimestamp(end_ms / 1000, dt.UTC),
                settled=_measures(account.settled),
                reserved=_measures(account.reserved),
                left=Measures(
                    tokens=None if tokens is None else tokens - counted.tokens,
                    cost_microdollars=None if cost is None else cost - counted.cost_microdollars,
                ),
            )
        )
    return Budget(limits=ledger.limits.table, accounts=accounts)


def _measures(amount: Amount) -> Measures:
    return Measures(tokens=amount.tokens, cost_microdollars=amount.cost_microdollars)
