"""The ledger as a state machine: entries in log order in, granted or not out. No clock, no thread, no I/O.

Whoever applies the same entries in the same order holds the same ledger, which is what replicas agree by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from headgate_enricher.budget.limits import EACH, LENGTHS, Length, Limit, LimitIndex, LimitTable, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR_MS: Final = 3_600_000
WINDOW_MS: Final[dict[Length, int]] = {"hour": HOUR_MS, "day": 24 * HOUR_MS}


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens (input and output together) and cost in millionths of a US dollar."""

    tokens: int = 0
    cost_microdollars: int = 0

    def __add__(self, other: Amount) -> Amount:
        """Sum both measures."""
        return Amount(self.tokens + other.tokens, self.cost_microdollars + other.cost_microdollars)

    def __sub__(self, other: Amount) -> Amount:
        """Take both measures away."""
        return Amount(self.tokens - other.tokens, self.cost_microdollars - other.cost_microdollars)

    def within(self, limit: Limit) -> bool:
        """Say whether neither measure is above the limit."""
        return (limit.tokens is None or self.tokens <= limit.tokens) and (
            limit.cost_microdollars is None or self.cost_microdollars <= limit.cost_microdollars
        )


@dataclass(frozen=True, slots=True)
class Reserve:
    """Set an amount aside for a call; an empty tenant is nobody's."""

    id: str
    agent: str
    tenant: str
    amount: Amount

    def scopes(self) -> tuple[Scope, ...]:
        """Whose budgets it touches."""
        agent = Scope("agent", self.agent)
        return (agent, Scope("tenant", self.tenant)) if self.tenant else (agent,)


@dataclass(frozen=True, slots=True)
class Settle:
    """Replace a reservation by what the call has used."""

    id: str
    amount: Amount


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Replace all limits; ``proposed`` where a configuration says so and not an operator."""

    id: str
    limits: LimitTable
    proposed: bool


@dataclass(slots=True)
class Account:
    """What a scope has set aside and used in the present window."""

    reserved: Amount = field(default_factory=Amount)
    settled: Amount = field(default_factory=Amount)

    @property
    def counted(self) -> Amount:
        """What counts against the limit."""
        return self.reserved + self.settled


@dataclass(frozen=True, slots=True)
class OpenReservation:
    """A granted reservation that is not settled, and the hour (since the epoch) it was made in."""

    reserve: Reserve
    hour: int


@dataclass(frozen=True, slots=True)
class LedgerState:
    """All of a ledger, to be carried on from."""

    time_ms: int
    limits: LimitTable
    proposed: LimitTable
    accounts: tuple[tuple[Scope, Length, Account], ...]
    open: tuple[OpenReservation, ...]


class Ledger:
    """Counts what is reserved and settled in the present hour and day.

    Its time is the latest timestamp it was given and never goes back, so that a broker's clock that does cannot reopen
    a window. What was reserved in a window that has ended counts in it no more; a call that crosses an hour's end counts
    in the hour it was reserved in.

    Attributes:
        time_ms: Milliseconds since the epoch, UTC.
        limits: Limits in force.
        proposed: Limits last proposed by a configuration.
    """

    def __init__(self) -> None:
        self.time_ms = 0
        self.limits = LimitIndex(())
        self.proposed: LimitTable = ()
        self._accounts: dict[tuple[Scope, Length], Account] = {}
        self._open: dict[str, OpenReservation] = {}

    def reserve(self, entry: Reserve, at_ms: int) -> bool:
        """Count a reservation where every window it touches stays within its limit; say whether it is granted."""
        self._advance(at_ms)
        if entry.id in self._open:
            return True
        if not self.fits(entry, at_ms):
            return False
        for scope in entry.scopes():
            for length in LENGTHS:
                account = self._accounts.setdefault((scope, length), Account())
                account.reserved += entry.amount
        self._open[entry.id] = OpenReservation(entry, self.time_ms // HOUR_MS)
        return True

    def settle(self, entry: Settle, at_ms: int) -> None:
        """Replace a reservation; one that was refused, is settled or has seen its windows end changes nothing."""
        self._advance(at_ms)
        held = self._open.pop(entry.id, None)
        if held is None:
            return
        same_hour = held.hour == self.time_ms // HOUR_MS
        for scope in held.reserve.scopes():
            for length in LENGTHS if same_hour else LENGTHS[1:]:
                account = self._accounts[scope, length]
                account.reserved -= held.reserve.amount
                account.settled += entry.amount

    def set_limits(self, entry: SetLimits, at_ms: int) -> None:
        """Replace all limits; what is counted already stays counted."""
        self._advance(at_ms)
        self.limits = LimitIndex(entry.limits)
        if entry.proposed:
            self.proposed = entry.limits

    def fits(self, entry: Reserve, at_ms: int) -> bool:
        """Say whether a reservation would be granted at a time, and change nothing."""
        for scope in entry.scopes():
            for length in LENGTHS:
                limit = self.limits.of(scope, length)
                if limit is not None and not (self.account(scope, length, at_ms).counted + entry.amount).within(limit):
                    return False
        return True

    def limits_none(self, entry: Reserve) -> bool:
        """Say whether no limit touches a reservation, whatever its amount."""
        return all(self.limits.of(scope, length) is None for scope in entry.scopes() for length in LENGTHS)

    def holds(self, reservation_id: str) -> bool:
        """Say whether a reservation is granted and not settled."""
        return reservation_id in self._open

    def account(self, scope: Scope, length: Length, at_ms: int) -> Account:
        """A scope's account in the window of a time; not to be changed."""
        if at_ms // WINDOW_MS[length] > self.time_ms // WINDOW_MS[length]:
            return Account()
        return self._accounts.get((scope, length)) or Account()

    def accounts(self, at_ms: int) -> Iterator[tuple[Scope, Length, Account]]:
        """Every scope's accounts in the windows of a time; a scope that is limited by name has them, used or not."""
        named = {(Scope(limit.scope, limit.name), limit.window) for limit in self.limits.table if limit.name != EACH}
        for scope, length in sorted(named | self._accounts.keys()):
            yield scope, length, self.account(scope, length, at_ms)

    def state(self) -> LedgerState:
        """All of it, detached."""
        accounts = tuple(
            (scope, length, Account(account.reserved, account.settled))
            for (scope, length), account in self._accounts.items()
        )
        return LedgerState(self.time_ms, self.limits.table, self.proposed, accounts, tuple(self._open.values()))

    @classmethod
    def restore(cls, state: LedgerState) -> Ledger:
        """A ledger that goes on from a state."""
        ledger = cls()
        ledger.time_ms = state.time_ms
        ledger.limits, ledger.proposed = LimitIndex(state.limits), state.proposed
        for scope, length, account in state.accounts:
            ledger._accounts[scope, length] = Account(account.reserved, account.settled)
        ledger._open = {held.reserve.id: held for held in state.open}
        return ledger

    def _advance(self, at_ms: int) -> None:
        if at_ms <= self.time_ms:
            return
        before, self.time_ms = self.time_ms, at_ms
        for length in LENGTHS:
            if before // WINDOW_MS[length] != at_ms // WINDOW_MS[length]:
                self._accounts = {key: account for key, account in self._accounts.items() if key[1] != length}
                if length == "day":
                    self._open = {}
