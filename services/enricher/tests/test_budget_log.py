"""The purse over a log in memory: granted in its order, fail closed, given back, and the same for every replica."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient
from headgate_enricher.budget.control import budget_router
from headgate_enricher.budget.ledger import Amount
from headgate_enricher.budget.limits import Limit, LimitTable, Scope
from headgate_enricher.budget.log import BudgetLog, BudgetUnavailableError
from headgate_enricher.budget.metrics import BudgetMetrics
from headgate_enricher.budget.purse import LedgerPurse
from headgate_runtime.access import ControlAuth
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import TopicPartition
from headgate_runtime.testing import MemoryBroker, MemoryProducer, eventually
from headgate_runtime.testing.tail import MemoryTail
from structlog.testing import capture_logs

from .budget_log import TOPIC, codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headgate_enricher.budget.purse import LedgerReservation

PLACE = TopicPartition(TOPIC, 0)
HUNDRED = (Limit(scope="tenant", window="day", tokens=100),)
TOKEN = "a token of some length"


class Replica:
    """A running ledger with its purse."""

    def __init__(
        self,
        broker: MemoryBroker,
        name: str,
        limits: LimitTable | None,
        *,
        timeout_s: float = 5.0,
        checkpoint: int = 1000,
    ) -> None:
        self.metrics = Metrics()
        metrics = BudgetMetrics(self.metrics)
        self.log = BudgetLog(
            place=PLACE,
            open_tail=lambda: MemoryTail(broker, PLACE),
            producer=MemoryProducer(broker),
            codec=codec(name),
            replica=name,
            configured=limits,
            checkpoint_entries=checkpoint,
            metrics=metrics,
        )
        self.log.start()
        self.purse = LedgerPurse(self.log, timeout_s=timeout_s, metrics=metrics)

    def reserve(self, tokens: int, tenant: str = "web") -> LedgerReservation | None:
        return asyncio.run(self.purse.reserve("judge", tenant, tokens, 0))

    def counted(self, tenant: str = "web") -> tuple[int, int]:
        """Tokens reserved and settled today."""
        account = self.log.read(lambda ledger, now_ms: ledger.account(Scope("tenant", tenant), "day", now_ms))
        return account.reserved.tokens, account.settled.tokens

    def metric(self, metric: str, /, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"headgate_budget_{metric}", labels)


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic(TOPIC)
    return broker


@pytest.fixture
def start(broker: MemoryBroker) -> Iterator[Callable[..., Replica]]:
    with ExitStack() as stack:

        def start(name: str = "a", limits: LimitTable | None = HUNDRED, **options: float) -> Replica:
            replica = Replica(broker, name, limits, **options)
            stack.callback(replica.log.close)
            return replica

        yield start


def test_replicas_share_a_limit_and_a_settled_call_makes_room(start: Callable[..., Replica]) -> None:
    first, second = start("a"), start("b")
    held = first.reserve(60)
    assert held is not None
    assert second.reserve(60) is None
    held.settle(10, 0)
    held.settle(0, 0)
    eventually(lambda: second.counted() == (0, 10))
    assert second.reserve(90) is not None
    assert second.reserve(1) is None
    assert second.metric("refusals_total", reason="over_limit") == 2


def test_a_replica_that_proposes_no_limits_keeps_to_those_of_others(start: Callable[..., Replica]) -> None:
    deciding, guest = start("a"), start("b", None)
    assert guest.reserve(101) is None
    assert deciding.reserve(101) is None
    assert guest.reserve(100) is not None


def test_a_restarted_replica_knows_what_was_spent_and_what_a_crashed_one_had_set_aside(
    start: Callable[..., Replica],
) -> None:
    crashed = start("a", checkpoint=10)
    held = [crashed.reserve(3) for _ in range(30)]
    assert all(held)
    restarted = start("a", checkpoint=10)
    eventually(lambda: restarted.log.why_not_ready() is None)
    assert restarted.counted() == (90, 0)
    assert restarted.reserve(11) is None
    assert restarted.reserve(10) is not None


def test_a_demand_far_above_the_limit_is_refused_without_filling_the_log(
    start: Callable[..., Replica], broker: MemoryBroker
) -> None:
    replica = start()
    assert replica.reserve(100) is not None
    before = len(broker.records(TOPIC))
    assert [replica.reserve(5) for _ in range(50)] == [None] * 50
    assert len(broker.records(TOPIC)) == before


def test_while_the_brokers_are_away_nothing_is_granted_and_afterwards_nothing_is_left_set_aside(
    start: Callable[..., Replica], broker: MemoryBroker
) -> None:
    replica = start(timeout_s=0.2)
    eventually(lambda: replica.log.why_not_ready() is None)
    broker.available = False
    with pytest.raises(BudgetUnavailableError, match=r"no answer within 0\.2 s"):
        replica.reserve(60)
    broker.available = True
    eventually(lambda: len(broker.records(TOPIC)) == 3)  # limits, the late reservation, and its settlement
    eventually(lambda: replica.counted() == (0, 0))
    assert replica.reserve(100) is not None
    assert replica.metric("refusals_total", reason="unavailable") == 1


def test_a_replica_that_cannot_read_the_ledger_says_so_and_refuses(
    start: Callable[..., Replica], broker: MemoryBroker
) -> None:
    broker.available = False
    replica = start(timeout_s=0.1)
    eventually(lambda: "the broker does not answer" in (replica.log.why_not_ready() or ""))
    with pytest.raises(BudgetUnavailableError):
        replica.reserve(1)
    broker.available = True
    eventually(lambda: replica.log.why_not_ready() is None)
    assert replica.reserve(100) is not None


def test_a_call_that_is_cancelled_while_it_waits_leaves_nothing_set_aside(
    start: Callable[..., Replica], broker: MemoryBroker
) -> None:
    replica = start()
    eventually(lambda: replica.log.why_not_ready() is None)

    async def cancelled_at_once() -> None:
        task = asyncio.create_task(replica.purse.reserve("judge", "web", 70, 0))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled_at_once())
    eventually(lambda: len(broker.records(TOPIC)) == 3)
    eventually(lambda: replica.counted() == (0, 0))


def test_an_operators_limits_outlive_a_restart_and_a_new_configuration_replaces_them(
    start: Callable[..., Replica],
) -> None:
    first = start("a")
    api = client(first)
    raised = api.put("/control/budget", json={"limits": [{"scope": "tenant", "window": "day", "tokens": 500}]})
    assert raised.json()["limits"][0]["tokens"] == 500
    assert start("a").reserve(400) is not None
    configured_anew = start("a", limits=(Limit(scope="tenant", window="day", tokens=410),))
    eventually(lambda: configured_anew.log.why_not_ready() is None)
    assert configured_anew.reserve(11) is None
    eventually(lambda: first.reserve(11) is None)
    assert first.reserve(10) is not None


def test_the_control_endpoint_shows_what_is_left(start: Callable[..., Replica]) -> None:
    replica = start()
    held = replica.reserve(30)
    assert held is not None
    assert replica.reserve(20) is not None
    held.settle(25, 0)
    eventually(lambda: replica.counted() == (20, 25))
    accounts = client(replica).get("/control/budget").json()["accounts"]
    [tenant] = [each for each in accounts if (each["scope"], each["window"]) == ("tenant", "day")]
    assert (tenant["name"], tenant["settled"]["tokens"], tenant["reserved"]["tokens"]) == ("web", 25, 20)
    assert tenant["left"] == {"tokens": 55, "cost_microdollars": None}
    labels = {"scope": "tenant", "name": "web", "window": "day"}
    eventually(lambda: replica.metric("left_tokens", **labels) == 55)
    assert (replica.metric("spent_tokens", **labels), replica.metric("reserved_tokens", **labels)) == (25, 20)


def test_the_control_endpoint_is_for_the_tokens_holder_and_leaves_an_audit_line(
    start: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    monkeypatch.setattr("headgate_runtime.access._audit", heard)
    replica = start()
    stranger = client(replica, token=None)
    assert stranger.get("/control/budget").status_code == 401
    assert stranger.put("/control/budget", json={"limits": []}).status_code == 401
    api = client(replica)
    twice = [{"scope": "agent", "window": "hour", "tokens": 1}] * 2
    assert api.put("/control/budget", json={"limits": twice}).status_code == 422
    with capture_logs() as lines:
        assert api.put("/control/budget", json={"limits": []}).json()["limits"] == []
    assert [line["outcome"] for line in lines if line.get("action") == "set budget"] == ["done"]


def test_the_control_endpoint_says_when_the_ledger_is_not_read(
    start: Callable[..., Replica], broker: MemoryBroker
) -> None:
    broker.available = False
    replica = start()
    eventually(lambda: "the broker does not answer" in (replica.log.why_not_ready() or ""))
    answer = client(replica).get("/control/budget")
    assert (answer.status_code, "cannot be followed" in answer.json()["detail"]) == (503, True)


def client(replica: Replica, token: str | None = TOKEN) -> TestClient:
    app = FastAPI()
    app.state.control_auth = ControlAuth(TOKEN)
    app.include_router(budget_router(replica.log))
    return TestClient(app, headers={"Authorization": f"Bearer {token}"} if token else {})


def test_amounts_are_added_and_taken_away_measure_by_measure() -> None:
    assert Amount(1, 2) + Amount(3, 4) - Amount(2, 2) == Amount(2, 4)
