"""Entries of the ledger as records of the topic ``budget-ledger``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headgate_runtime.errors import UndecodableError
from pydantic import ValidationError

from headgate_enricher.budget.ledger import (
    Account,
    Amount,
    LedgerState,
    OpenReservation,
    Reserve,
    SetLimits,
    Settle,
)
from headgate_enricher.budget.limits import Limit, LimitTable, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from headgate_schemas import Violation

    from headgate_enricher.enrichment import ValueEncoder
    from headgate_enricher.intake import ValueDecoder


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The ledger as it is once everything below an offset is applied."""

    id: str
    offset: int
    state: LedgerState


Entry = Reserve | Settle | SetLimits | Checkpoint


class EntryCodec:
    """Entries to bytes and back.

    Args:
        encoder: Encodes ``budget_entry``.
        decoder: Decodes it.
        check: The topic's rules.
        replica: Who writes.
    """

    def __init__(
        self,
        encoder: ValueEncoder,
        decoder: ValueDecoder,
        check: Callable[[Mapping[str, Any]], Violation | None],
        replica: str,
    ) -> None:
        self._encoder = encoder
        self._decoder = decoder
        self._check = check
        self._replica = replica

    def encode(self, entry: Entry) -> bytes:
        """Encode an entry."""
        return self._encoder.encode({"id": entry.id, "replica": self._replica, **_fields(entry)})

    def decode(self, value: bytes | None) -> Entry:
        """Decode an entry.

        Raises:
            UndecodableError: It is no entry, or one of a kind this version does not know.
            UnavailableError: Its schema is not known yet and the registry does not answer.
        """
        fields = self._decoder.decode(value)
        if broken := self._check(fields):
            raise UndecodableError("contract_violation", broken.message)
        try:
            return _entry(fields)
        except (ValidationError, TypeError) as error:
            raise UndecodableError(
                "contract_violation", f"not a whole {fields['kind']} entry ({type(error).__name__})"
            ) from error


def _entry(fields: Mapping[str, Any]) -> Entry:
    match fields["kind"]:
        case "reserve":
            return Reserve(fields["id"], fields["agent"] or "", fields["tenant"] or "", _amount(fields))
        case "settle":
            return Settle(fields["id"], _amount(fields))
        case "limit":
            return SetLimits(fields["id"], _limits(fields["limits"]), fields["proposed"])
        case "checkpoint":
            return Checkpoint(fields["id"], fields["state"]["offset"], _state(fields["state"]))
    raise TypeError(fields["kind"])


def _fields(entry: Entry) -> dict[str, Any]:
    match entry:
        case Reserve():
            return {"kind": "reserve", "agent": entry.agent, "tenant": entry.tenant, **_measures(entry.amount)}
        case Settle():
            return {"kind": "settle", **_measures(entry.amount)}
        case SetLimits():
            return {"kind": "limit", "limits": _table(entry.limits), "proposed": entry.proposed}
        case Checkpoint():
            return {"kind": "checkpoint", "state": {"offset": entry.offset, **_state_fields(entry.state)}}


def _measures(amount: Amount) -> dict[str, int]:
    return {"tokens": amount.tokens, "cost_microdollars": amount.cost_microdollars}


def _amount(fields: Mapping[str, Any], prefix: str = "") -> Amount:
    return Amount(fields[f"{prefix}tokens"], fields[f"{prefix}cost_microdollars"])


def _table(limits: LimitTable) -> list[dict[str, Any]]:
    return [limit.model_dump() for limit in limits]


def _limits(table: Iterable[Mapping[str, Any]]) -> LimitTable:
    return tuple(Limit.model_validate(fields) for fields in table)


def _state_fields(state: LedgerState) -> dict[str, Any]:
    return {
        "at": state.time_ms,
        "limits": _table(state.limits),
        "proposed": _table(state.proposed),
        "accounts": [
            {
                "scope": scope.kind,
                "name": scope.name,
                "window": length,
                "reserved_tokens": account.reserved.tokens,
                "reserved_cost_microdollars": account.reserved.cost_microdollars,
                "settled_tokens": account.settled.tokens,
                "settled_cost_microdollars": account.settled.cost_microdollars,
            }
            for scope, length, account in state.accounts
        ],
        "open": [
            {
                "id": held.reserve.id,
                "agent": held.reserve.agent,
                "tenant": held.reserve.tenant,
                "hour": held.hour,
                **_measures(held.reserve.amount),
            }
            for held in state.open
        ],
    }


def _state(fields: Mapping[str, Any]) -> LedgerState:
    return LedgerState(
        time_ms=fields["at"],
        limits=_limits(fields["limits"]),
        proposed=_limits(fields["proposed"]),
        accounts=tuple(
            (
                Scope(each["scope"], each["name"]),
                each["window"],
                Account(_amount(each, "reserved_"), _amount(each, "settled_")),
            )
            for each in fields["accounts"]
        ),
        open=tuple(
            OpenReservation(Reserve(each["id"], each["agent"], each["tenant"], _amount(each)), each["hour"])
            for each in fields["open"]
        ),
    )
