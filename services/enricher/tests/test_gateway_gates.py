"""Breaker, limiter and concurrency: what they never let through, and that they come back."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest
from headgate_enricher.gateway.breaker import Breaker, BreakerPolicy
from headgate_enricher.gateway.concurrency import AdaptiveLimit, Slots
from headgate_enricher.gateway.limiter import WINDOW_S, Limiter
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

if TYPE_CHECKING:
    from collections.abc import Sequence

POLICY = BreakerPolicy(window=10, least=4, share=0.5, open_s=1, cap_s=8, probes=2)
SECONDS = st.floats(0, 4, allow_nan=False)


class BreakerMachine(RuleBasedStateMachine):
    """Calls that begin and end in any order, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(POLICY)
        self.now_s = 0.0
        self.open_tickets: list[int] = []
        self.probes: list[int] = []

    @rule()
    def enter(self) -> None:
        state = self.breaker.state(self.now_s)
        ticket = self.breaker.enter(self.now_s)
        assert state != "closed" or ticket is not None
        assert state != "open" or ticket is None
        if ticket is not None:
            self.open_tickets.append(ticket)
            if state == "half_open":
                self.probes.append(ticket)

    @precondition(lambda self: self.open_tickets)
    @rule(index=st.integers(0, 20), good=st.sampled_from([True, False, None]))
    def leave(self, index: int, good: bool | None) -> None:  # noqa: FBT001 (hypothesis gives it by its name)
        ticket = self.open_tickets.pop(index % len(self.open_tickets))
        if ticket in self.probes:
            self.probes.remove(ticket)
        self.breaker.leave(ticket, self.now_s, good=good)

    @rule()
    def park(self) -> None:
        self.breaker.park(self.now_s)
        assert not self.breaker.admits(self.now_s)

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @invariant()
    def few_probes_run_at_a_time(self) -> None:
        assert all(self.probes.count(ticket) <= POLICY.probes for ticket in self.probes)

    def teardown(self) -> None:
        for ticket in self.open_tickets:
            self.breaker.leave(ticket, self.now_s, good=None)
        self.now_s += POLICY.cap_s
        end(self.breaker, self.now_s, "oo")
        assert self.breaker.admits(self.now_s)
        assert self.breaker.state(self.now_s) == "closed"


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=50, deadline=None)


def end(breaker: Breaker, now_s: float, outcomes: str) -> None:
    """Calls one after another that go well (o) or not (x)."""
    for outcome in outcomes:
        ticket = breaker.enter(now_s)
        assert ticket is not None
        breaker.leave(ticket, now_s, good=outcome == "o")


def test_a_breaker_opens_at_its_share_of_failures_and_not_before_it_has_seen_enough() -> None:
    breaker = Breaker(POLICY)
    end(breaker, 0, "xxx")
    assert breaker.state(0) == "closed"
    end(breaker, 0, "x")
    assert breaker.state(0.99) == "open"
    assert breaker.state(1) == "half_open"
    healthy = Breaker(POLICY)
    end(healthy, 0, "oox" * 10)
    assert healthy.state(0) == "closed"


def test_each_failed_probe_doubles_the_wait_up_to_a_bound() -> None:
    breaker, now_s, waits = Breaker(POLICY), 0.0, []
    end(breaker, now_s, "xxxx")
    for _ in range(5):
        wait_s = next(wait_s for wait_s in (1, 2, 4, 8, 16) if breaker.state(now_s + wait_s) == "half_open")
        waits.append(wait_s)
        now_s += wait_s
        end(breaker, now_s, "x")
    assert waits == [1, 2, 4, 8, 8]


def test_calls_from_before_it_opened_do_not_count_as_probes() -> None:
    breaker = Breaker(POLICY)
    old = [breaker.enter(0) for _ in range(8)]
    for ticket in old[:4]:
        assert ticket is not None
        breaker.leave(ticket, 0, good=False)
    for ticket in old[4:]:
        assert ticket is not None
        breaker.leave(ticket, 1.5, good=True)
    assert breaker.state(1.5) == "half_open"


@given(
    st.integers(6, 300),
    st.integers(60, 6_000),
    st.lists(st.tuples(st.floats(0, 20, allow_nan=False), st.integers(1, 2_000)), min_size=1, max_size=150),
)
def test_no_minute_ever_sees_more_than_the_limits(
    requests: int, tokens: int, asks: Sequence[tuple[float, int]]
) -> None:
    limiter, now_s, started = Limiter(requests, tokens, 0.0), 0.0, list[tuple[float, int]]()
    for gap_s, amount in asks:
        now_s += gap_s
        wait_s = limiter.reserve(amount, now_s, math.inf)
        if wait_s is None:
            assert amount >= tokens
            continue
        started.append((now_s + wait_s, amount))
    starts = [start_s for start_s, _ in started]
    assert starts == sorted(starts)
    for first_s, _ in started:
        window = [amount for start_s, amount in started if first_s <= start_s < first_s + WINDOW_S]
        assert len(window) <= requests
        assert sum(window) <= tokens * (1 + 1e-9)


def test_a_limiter_refuses_what_cannot_start_before_the_deadline_and_reserves_nothing_for_it() -> None:
    limiter = Limiter(None, 600, 0.0)
    assert limiter.reserve(100, 0.0, 5.0) == 0
    assert limiter.reserve(100, 0.0, 5.0) is None
    assert limiter.reserve(100, 0.0, 60.0) == pytest.approx(12)
    limiter.cancel(100)
    limiter.give_back(100)
    assert limiter.reserve(100, 0.0, 5.0) == 0


def test_a_limiter_uses_its_limit_when_demand_lasts() -> None:
    limiter = Limiter(60, None, 0.0)
    waits = [limiter.reserve(1, 0.0, math.inf) for _ in range(600)]
    assert waits[-1] == pytest.approx(590 / 50 * 60)  # all but the first sixth of a minute's limit, evenly


@given(st.integers(1, 512), st.lists(st.tuples(st.booleans(), st.integers(0, 600), SECONDS), max_size=200))
def test_concurrency_stays_within_its_bounds_and_recovers(most: int, events: Sequence[tuple[bool, int, float]]) -> None:
    limit, now_s = AdaptiveLimit(most), 0.0
    for throttled, in_flight, gap_s in events:
        now_s += gap_s
        before = limit.limit
        if throttled:
            limit.throttled(now_s - gap_s / 2, now_s)
            assert limit.limit <= before
        else:
            limit.answered(in_flight)
            assert limit.limit >= before
        assert min(most, AdaptiveLimit.FLOOR) <= limit.limit <= most
    rounds = 0
    while limit.limit < most:
        for _ in range(limit.limit):
            limit.answered(limit.limit)
        rounds += 1
    assert rounds <= most / 2 + 1


def test_one_burst_of_throttling_halves_concurrency_once() -> None:
    limit = AdaptiveLimit(256)
    for _ in range(200):
        limit.throttled(0.0, 0.5)
    assert limit.limit == 128
    limit.throttled(0.6, 1.0)
    assert limit.limit == 64


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 6), st.lists(st.tuples(st.sampled_from(["start", "end", "cancel"]), st.integers(0, 9))))
def test_no_more_calls_than_slots_run_and_none_waits_beside_a_free_one(
    most: int, steps: Sequence[tuple[str, int]]
) -> None:
    async def run() -> None:
        slots, running, waiting = Slots(AdaptiveLimit(most)), list[int](), dict[int, asyncio.Task[None]]()

        async def call(number: int) -> None:
            await slots.acquire()
            running.append(number)

        for number, (step, index) in enumerate(steps):
            if step == "start":
                waiting[number] = asyncio.create_task(call(number))
            elif step == "end" and running:
                running.pop(index % len(running))
                slots.release()
            elif step == "cancel" and waiting:
                chosen = list(waiting)[index % len(waiting)]
                if waiting[chosen].cancel():
                    del waiting[chosen]
            if index % 2:
                continue  # let several steps happen before any task runs
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            waiting = {number: task for number, task in waiting.items() if not task.done()}
            assert slots.in_flight == len(running) <= most
            assert not waiting or len(running) == most
        for task in waiting.values():
            task.cancel()

    asyncio.run(run())
