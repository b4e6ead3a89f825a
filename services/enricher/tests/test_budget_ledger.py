"""The ledger under replicas that crash, lag, start from checkpoints, and a clock that steps back: never over, all agree."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import pytest
from headgate_enricher.budget.follower import Follower
from headgate_enricher.budget.ledger import HOUR_MS, Amount, Ledger, Reserve, SetLimits, Settle
from headgate_enricher.budget.limits import Limit, LimitIndex, LimitTable, Scope
from headgate_enricher.budget.settings import BudgetSettings
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pydantic import ValidationError

from .budget_log import CODEC, ListLog

if TYPE_CHECKING:
    from headgate_enricher.budget.limits import Length

MIDNIGHT_MS = 20_000 * 24 * HOUR_MS
AGENT = "judge"
TENANTS = ("web", "app", "till")
REPLICAS = 3
SPAN = 12


def limits(agent_hour: int, agent_day: int, tenant_hour: int) -> LimitTable:
    return (
        Limit(scope="agent", name=AGENT, window="hour", tokens=agent_hour),
        Limit(scope="agent", window="day", cost_microdollars=agent_day),
        Limit(scope="tenant", window="hour", tokens=tenant_hour),
        Limit(scope="tenant", name="till", window="hour", tokens=3),
    )


@dataclass
class Replica:
    """A process: its view of the log, and the calls it was granted and has not settled."""

    number: int
    log: ListLog
    granted: list[Reserve] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.follower = Follower(CODEC, "")

    def start(self) -> list[tuple[str, bool]]:
        return self.follower.catch_up(self.log.tail(), lambda: False, span=SPAN)

    def advance(self, most: int) -> list[tuple[str, bool]]:
        at = self.follower.offset
        return self.follower.apply(self.log.records[at : at + most])


class LedgerMachine(RuleBasedStateMachine):
    @initialize(table=st.builds(limits, st.integers(5, 20), st.integers(20, 60), st.integers(2, 10)))
    def start(self, table: LimitTable) -> None:
        self.log = ListLog(MIDNIGHT_MS)
        self.time_ms = 0
        self.ids = count()
        self.asked: dict[str, tuple[Reserve, int]] = {}
        self.outcomes: dict[str, bool] = {}
        self.paid: dict[tuple[Scope, Length, int], Amount] = defaultdict(Amount)
        self.tables: list[LimitTable] = []
        self.operator_sets_limits(table)
        self.replicas = [Replica(number, self.log) for number in range(REPLICAS)]

    @rule(number=st.integers(0, REPLICAS - 1), tenant=st.sampled_from(TENANTS), tokens=st.integers(0, 6))
    def ask(self, number: int, tenant: str, tokens: int) -> None:
        entry = Reserve(f"{number}.{next(self.ids)}", AGENT, tenant, Amount(tokens, 2 * tokens))
        self.append(entry)
        self.asked[entry.id] = (entry, self.time_ms)

    @rule(number=st.integers(0, REPLICAS - 1), most=st.integers(1, 10))
    def advance(self, number: int, most: int) -> None:
        self.hear(self.replicas[number], self.replicas[number].advance(most))

    @rule(number=st.integers(0, REPLICAS - 1), index=st.integers(0, 9), halves=st.integers(0, 2))
    def settle(self, number: int, index: int, halves: int) -> None:
        granted = self.replicas[number].granted
        if granted:
            entry = granted.pop(index % len(granted))
            used = Amount(entry.amount.tokens * halves // 2, entry.amount.cost_microdollars * halves // 2)
            self.pay(entry, used - entry.amount)
            self.append(Settle(entry.id, used))

    @rule(index=st.integers(0, 9))
    def settle_what_was_refused(self, index: int) -> None:
        refused = [each for each, granted in self.outcomes.items() if not granted]
        if refused:
            self.append(Settle(refused[index % len(refused)], Amount(99, 99)))

    @rule(minutes=st.sampled_from([-3, 20, 61, 24 * 60]))
    def brokers_clock_moves(self, minutes: int) -> None:
        self.log.now_ms += minutes * 60_000

    @rule(table=st.builds(limits, st.integers(0, 20), st.integers(0, 60), st.integers(0, 10)))
    def operator_sets_limits(self, table: LimitTable) -> None:
        self.tables.append(table)
        self.append(SetLimits(f"operator.{next(self.ids)}", table, proposed=False))

    @rule(number=st.integers(0, REPLICAS - 1), forget=st.booleans())
    def write_checkpoint(self, number: int, *, forget: bool) -> None:
        checkpoint = self.replicas[number].follower.checkpoint(f"{number}.{next(self.ids)}")
        self.log.append(checkpoint)
        if forget and checkpoint.offset:
            self.log.begin = max(self.log.begin, checkpoint.offset)

    @rule(value=st.sampled_from([b"", b"\x00\x00\x00\x00\x01\xff", b"not an entry"]))
    def rubbish_in_the_log(self, value: bytes) -> None:
        self.log.append_bytes(value)

    @rule(number=st.integers(0, REPLICAS - 1))
    def crash(self, number: int) -> None:
        self.replicas[number] = Replica(number, self.log)
        for entry_id, granted in self.replicas[number].start():
            assert self.outcomes.setdefault(entry_id, granted) == granted, "a restart decides otherwise"

    def append(self, entry: Reserve | Settle | SetLimits) -> None:
        self.log.append(entry)
        self.time_ms = max(self.time_ms, self.log.now_ms)

    def hear(self, replica: Replica, outcomes: list[tuple[str, bool]]) -> None:
        for entry_id, granted in outcomes:
            assert self.outcomes.setdefault(entry_id, granted) == granted, "replicas disagree"
            if granted and entry_id.startswith(f"{replica.number}."):
                entry, _ = self.asked[entry_id]
                replica.granted.append(entry)
                self.pay(entry, entry.amount)

    def pay(self, entry: Reserve, amount: Amount) -> None:
        hour = self.asked[entry.id][1] // HOUR_MS
        for scope in entry.scopes():
            self.paid[scope, "hour", hour] += amount
            self.paid[scope, "day", hour // 24] += amount

    @invariant()
    def nobody_pays_more_than_was_ever_allowed(self) -> None:
        for (scope, length, _), amount in getattr(self, "paid", {}).items():
            ever = [LimitIndex(table).of(scope, length) for table in self.tables]
            if None not in ever:
                assert any(amount.within(limit) for limit in ever if limit is not None), (scope, length, amount)

    def teardown(self) -> None:
        if not hasattr(self, "log"):
            return
        for replica in self.replicas:
            self.hear(replica, replica.advance(len(self.log.records)))
        late = Replica(REPLICAS, self.log)
        late.start()
        whole = Follower(CODEC, "")
        whole.apply(self.log.records)
        for replica in [*self.replicas, late]:
            assert as_sets(replica.follower.ledger) == as_sets(whole.ledger)
        self.nobody_pays_more_than_was_ever_allowed()


def as_sets(ledger: Ledger) -> tuple[object, ...]:
    state = ledger.state()
    accounts = {(*place, account.reserved, account.settled) for *place, account in state.accounts}
    return state.time_ms, state.limits, state.proposed, accounts, set(state.open)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


def reserve(entry_id: str, tokens: int, cost: int = 0, tenant: str = "web") -> Reserve:
    return Reserve(entry_id, AGENT, tenant, Amount(tokens, cost))


def ledger(*table: Limit) -> Ledger:
    ledger = Ledger()
    ledger.set_limits(SetLimits("limits", table, proposed=False), MIDNIGHT_MS)
    return ledger


def test_what_is_reserved_counts_until_it_is_settled_and_what_is_settled_until_the_window_ends() -> None:
    books = ledger(Limit(scope="tenant", window="hour", tokens=100))
    assert books.reserve(reserve("1", 60), MIDNIGHT_MS)
    assert not books.reserve(reserve("2", 41), MIDNIGHT_MS)
    books.settle(Settle("1", Amount(10)), MIDNIGHT_MS)
    assert books.reserve(reserve("3", 90), MIDNIGHT_MS)
    assert not books.reserve(reserve("4", 1), MIDNIGHT_MS + HOUR_MS - 1)
    assert books.reserve(reserve("5", 1), MIDNIGHT_MS + HOUR_MS)


def test_a_reservation_is_counted_once_and_settled_once() -> None:
    books = ledger(Limit(scope="agent", window="day", tokens=100))
    assert books.reserve(reserve("1", 60), MIDNIGHT_MS)
    assert books.reserve(reserve("1", 60), MIDNIGHT_MS)
    books.settle(Settle("1", Amount(50)), MIDNIGHT_MS)
    books.settle(Settle("1", Amount(0)), MIDNIGHT_MS)
    account = books.account(Scope("agent", AGENT), "day", MIDNIGHT_MS)
    assert (account.reserved, account.settled) == (Amount(0), Amount(50))


def test_a_call_that_crosses_the_hour_is_settled_in_the_day_alone() -> None:
    books = ledger(Limit(scope="agent", window="hour", tokens=100), Limit(scope="agent", window="day", tokens=100))
    assert books.reserve(reserve("1", 80), MIDNIGHT_MS)
    books.settle(Settle("1", Amount(30)), MIDNIGHT_MS + HOUR_MS)
    scope = Scope("agent", AGENT)
    assert books.account(scope, "hour", MIDNIGHT_MS + HOUR_MS).counted == Amount(0)
    assert books.account(scope, "day", MIDNIGHT_MS + HOUR_MS).settled == Amount(30)


def test_a_broker_whose_clock_steps_back_reopens_no_window() -> None:
    books = ledger(Limit(scope="agent", window="hour", tokens=100))
    assert books.reserve(reserve("1", 100), MIDNIGHT_MS + HOUR_MS)
    assert not books.reserve(reserve("2", 1), MIDNIGHT_MS)


def test_every_measure_of_every_scope_has_to_fit() -> None:
    books = ledger(
        Limit(scope="agent", window="hour", cost_microdollars=10),
        Limit(scope="tenant", window="day", tokens=10),
    )
    assert not books.reserve(reserve("1", 1, 11), MIDNIGHT_MS)
    assert not books.reserve(reserve("2", 11, 1), MIDNIGHT_MS)
    assert books.reserve(reserve("3", 10, 5), MIDNIGHT_MS)
    assert books.reserve(reserve("4", 10, 5, tenant="app"), MIDNIGHT_MS)
    assert not books.reserve(reserve("5", 0, 1, tenant="till"), MIDNIGHT_MS)


def test_a_call_without_a_tenant_counts_for_its_agent_alone() -> None:
    books = ledger(Limit(scope="tenant", window="hour", tokens=0))
    assert books.reserve(reserve("1", 5, tenant=""), MIDNIGHT_MS)
    assert {scope for scope, _, _ in books.accounts(MIDNIGHT_MS)} == {Scope("agent", AGENT)}


def test_a_table_that_limits_twice_or_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="limited twice: tenant/\\*/hour"):
        BudgetSettings(
            limits=(Limit(scope="tenant", window="hour", tokens=1), Limit(scope="tenant", window="hour", tokens=2))
        )
    with pytest.raises(ValidationError, match="limits nothing"):
        Limit(scope="tenant", window="hour")
