"""The read-only tools: what the model may look up about one event. Each answers in a type of its own.

No tool takes an account or free text from the model: what is looked up is the event's own account, amount and merchant,
so that nobody is shown another's history. No result holds text from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from headgate_agent_toolkit.untrusted import clean
from pydantic import BaseModel, ConfigDict, Field

from headgate_agent_risk.memory import history
from headgate_agent_risk.windows import WindowHistory, last_windows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from headgate_schemas.agent import GreyCase

    from headgate_agent_risk.policy import Policy
    from headgate_agent_risk.reference import Reference

_COMPARED = "USD"


@dataclass(frozen=True, slots=True)
class LookUp:
    """A tool without effects.

    Attributes:
        name: What the model calls it by.
        description: What the model is told of it.
        arguments: Shape of the call's arguments.
        find: Answers a call about an event.
    """

    name: str
    description: str
    arguments: type[BaseModel]
    find: Callable[[Any, GreyCase], Awaitable[BaseModel]]


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class NoArguments(BaseModel):
    """A call about the event itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CurrencyArguments(BaseModel):
    """Which currency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.")]


class AccountHistory(_Result):
    """What is remembered of the event's account before it; ``known`` is false for an account never seen.

    Attributes:
        payments_hour: Count of its payments that fades within an hour; ``payments_day``, ``failed_logins_*`` likewise.
        usual_ratio: Size of its ordinary payment, relative to the usual one for currency and channel.
        last_10m: Its last closed window of ten minutes; ``last_1h`` of an hour, ``last_24h`` of a day. None where there
            is none that is of use, as for an account's first minutes.
    """

    known: bool
    events: int = 0
    quiet_hours: float = 0.0
    payments: int = 0
    payments_hour: float = 0.0
    payments_day: float = 0.0
    usual_ratio: float = 0.0
    failed_logins_hour: float = 0.0
    failed_logins_day: float = 0.0
    devices: int = 0
    countries: int = 0
    last_10m: WindowHistory | None = None
    last_1h: WindowHistory | None = None
    last_24h: WindowHistory | None = None


class PeerStatistics(_Result):
    """Where a payment stands among many orders; ``comparable`` is false for other events and unlisted currencies."""

    comparable: bool
    orders: int = 0
    percentile: float | None = None


class CurrencyReference(_Result):
    """What is known of a currency; ``usual_payment`` is in its units, None where none is known."""

    minor_units: int
    usual_payment: float | None
    issuer_risk: Literal["normal", "high"]
    replaced_by: str | None = None


class MerchantReference(_Result):
    """What the event's merchant sells, as far as its name says."""

    known: bool
    mcc: str | None = None
    category: str | None = None
    risk: Literal["unknown", "normal", "elevated", "high"] = "unknown"


def read_only_tools(policy: Policy, reference: Reference) -> tuple[LookUp, ...]:
    """The tools there are; the policy's allow-list says which of them a model is offered."""
    sources = _Sources(policy, reference)
    return (
        LookUp(
            "account_history",
            "What this event's account did before: events, payments, failed logins, its ordinary payment, and what its "
            "last windows of 10 minutes, 1 and 24 hours came to; spent is in usual payments.",
            NoArguments,
            sources.account_history,
        ),
        LookUp(
            "peer_statistics",
            "Percentile of this payment's amount among a web shop's orders.",
            NoArguments,
            sources.peer_statistics,
        ),
        LookUp(
            "currency_reference",
            "Decimals, usual payment, issuer's risk and replacement of a currency.",
            CurrencyArguments,
            sources.currency_reference,
        ),
        LookUp(
            "merchant_reference",
            "What this event's merchant sells and how closely such sales are watched.",
            NoArguments,
            sources.merchant_reference,
        ),
    )


class _Sources:
    def __init__(self, policy: Policy, reference: Reference) -> None:
        self._policy = policy
        self._reference = reference

    async def account_history(self, _: NoArguments, case: GreyCase) -> AccountHistory:
        at_ms = case.event["event_timestamp"]
        found = history(case.memory, at_ms)
        return AccountHistory(
            known=found.events > 0,
            events=found.events,
            quiet_hours=found.quiet_hours,
            payments=found.payments,
            payments_hour=found.payments_hour,
            payments_day=found.payments_day,
            usual_ratio=found.usual_ratio,
            failed_logins_hour=found.failed_hour,
            failed_logins_day=found.failed_day,
            devices=found.devices,
            countries=found.countries,
            **last_windows(case.profile or {}, at_ms, self._policy),
        )

    async def peer_statistics(self, _: NoArguments, case: GreyCase) -> PeerStatistics:
        ratio = case.features.get("amount_ratio")
        if not ratio:
            return PeerStatistics(comparable=False)
        peers = self._reference.peers
        percentile = peers.percentile(ratio * self._policy.typical_amount[_COMPARED])
        return PeerStatistics(comparable=True, orders=peers.orders, percentile=percentile)

    async def currency_reference(self, asked: CurrencyArguments, _: GreyCase) -> CurrencyReference:
        currencies = self._reference.currencies
        return CurrencyReference(
            minor_units=currencies.decimals(asked.currency),
            usual_payment=self._policy.typical_amount.get(asked.currency),
            issuer_risk="high" if asked.currency in currencies.high_risk_issuers else "normal",
            replaced_by=currencies.replaced_by.get(asked.currency),
        )

    async def merchant_reference(self, _: NoArguments, case: GreyCase) -> MerchantReference:
        name = case.event["payload"]["attributes"].get("merchant")
        found = self._reference.merchants.category(clean(name)) if name else None
        if found is None:
            return MerchantReference(known=False)
        return MerchantReference(known=True, mcc=found.mcc, category=found.category, risk=found.risk)
