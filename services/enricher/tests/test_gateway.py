"""The gateway: who is asked, who pays, what is kept, and how often anything is tried."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from headgate_enricher.gateway.cache import pack, unpack, worth_keeping
from headgate_enricher.gateway.concurrency import AdaptiveLimit
from headgate_enricher.gateway.errors import (
    BreakerOpenError,
    BudgetExhaustedError,
    GatewayError,
    PurseUnavailableError,
    RateLimitedError,
    reason_of,
)
from headgate_enricher.gateway.protocols import CallContext
from headgate_enricher.gateway.routes import RouteSettings
from headgate_enricher.gateway.spending import Spent, deliberation_of
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import TopicPartition
from headgate_schemas.agent import Usage
from langchain_core.messages import AIMessage, HumanMessage

from .scripted_models import (
    CHEAPER,
    FALLBACK,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    PRIMARY,
    CountingPurse,
    World,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable

USED = Usage(1, INPUT_TOKENS, OUTPUT_TOKENS)
PRIMARY_COST, CHEAPER_COST, FALLBACK_COST = 140, 3, 70  # of USED, micro-dollars
THROTTLED, BROKEN, DENIED, INVALID = 429, 503, 403, 400


def ask(world: World, text: str = "hello", **options: Any) -> tuple[str, Spent]:
    answer, spending = asyncio.run(world.ask(text, **options))
    return answer, spending.spent


def failure(world: World, text: str = "hello") -> tuple[Exception, Spent]:
    async def run() -> tuple[Exception, Spent]:
        context = CallContext(TopicPartition("in", 0), 0, "judge", "1", "shop", world.now_s + 5.0)
        with deliberation_of(context) as collected, pytest.raises(Exception) as caught:  # noqa: PT011 (each test looks)
            await world.model.ainvoke([HumanMessage(text)])
        return caught.value, collected.spent

    return asyncio.run(run())


def test_an_answer_comes_from_the_primary_and_says_what_it_cost() -> None:
    world = World()
    assert ask(world) == (f"{PRIMARY} on hello", Spent(PRIMARY, USED, PRIMARY_COST))
    assert world.tokens(PRIMARY, "input") == INPUT_TOKENS
    assert world.value("model_cost_microdollars_total", model=PRIMARY) == PRIMARY_COST
    assert world.ended(PRIMARY) == 1


@pytest.mark.parametrize(("limit", "model", "cost"), [(10_000, PRIMARY, PRIMARY_COST), (100, CHEAPER, CHEAPER_COST)])
def test_the_cheaper_model_answers_when_the_purse_refuses_the_primary(limit: int, model: str, cost: int) -> None:
    purse = CountingPurse(limit)
    world = World(purse)
    assert ask(world)[1] == Spent(model, USED, cost)
    [(agent, tenant, tokens, reserved)] = purse.reserved
    assert (agent, tenant) == ("judge", "shop")
    assert (tokens, reserved) >= (INPUT_TOKENS + OUTPUT_TOKENS, cost)
    assert purse.settled == {0: (INPUT_TOKENS + OUTPUT_TOKENS, cost)}


def test_no_model_is_asked_when_the_purse_pays_for_none() -> None:
    world = World(CountingPurse(0))
    error, spent = failure(world)
    assert isinstance(error, BudgetExhaustedError)
    assert (reason_of(error), spent) == ("budget", Spent())
    assert world.value("model_attempts_refused_total", model=CHEAPER, reason="budget") == 1


def test_no_model_is_asked_when_nobody_can_say_whether_it_is_paid() -> None:
    purse = CountingPurse(10_000, away=True)
    world = World(purse, fallback=None)
    error, _ = failure(world)
    assert isinstance(error, PurseUnavailableError)
    assert reason_of(error) == "budget_unavailable"


@pytest.mark.parametrize(
    ("error", "settled"), [(refused(THROTTLED), (0, 0)), (refused(BROKEN), (0, 0)), (TimeoutError(), None)]
)
def test_a_failed_attempt_gives_its_reservation_back_unless_it_may_have_been_paid(
    error: Exception, settled: tuple[int, int] | None
) -> None:
    purse = CountingPurse(10_000)
    world = World(purse)
    world.script(PRIMARY, error)
    assert ask(world)[1].model_id == FALLBACK
    assert purse.settled.get(0) == settled
    assert purse.settled[1] == (INPUT_TOKENS + OUTPUT_TOKENS, FALLBACK_COST)


@pytest.mark.parametrize("status", [THROTTLED, BROKEN, DENIED])
def test_the_fallback_model_answers_at_once_what_the_primary_fails(status: int) -> None:
    world = World()
    world.script(PRIMARY, refused(status))
    assert ask(world) == (f"{FALLBACK} on hello", Spent(FALLBACK, USED, FALLBACK_COST))
    assert (world.attempts(PRIMARY), world.attempts(FALLBACK)) == (1, 1)


@pytest.mark.parametrize("attempts", [1, 2, 3, 5])
@pytest.mark.parametrize("status", [THROTTLED, BROKEN])
def test_attempts_are_bounded_over_all_models_together(attempts: int, status: int) -> None:
    world = World(attempts=attempts)
    world.script(PRIMARY, *[refused(status)] * 9)
    world.script(FALLBACK, *[refused(status)] * 9)
    error, spent = failure(world)
    assert isinstance(error, ClientError)
    assert spent.usage == Usage()
    assert world.attempts(PRIMARY) + world.attempts(FALLBACK) == attempts
    assert world.attempts(FALLBACK) == min(1, attempts - 1)


def test_what_is_wrong_with_the_request_is_not_sent_elsewhere() -> None:
    world = World()
    world.script(PRIMARY, refused(INVALID))
    error, spent = failure(world)
    assert (reason_of(error), spent.model_id) == ("invalid_request", PRIMARY)
    assert world.attempts(FALLBACK) == 0


def test_a_model_that_is_denied_is_left_alone_for_a_while() -> None:
    world = World()
    world.script(PRIMARY, refused(DENIED))
    for number in range(5):
        assert ask(world, f"{number}", offset=number)[1].model_id == FALLBACK
    assert world.attempts(PRIMARY) == 1
    assert world.value("model_breaker_state", model=PRIMARY) == 2
    world.now_s += 60
    assert ask(world, "later", offset=9)[1].model_id == PRIMARY


def test_a_broken_primary_is_not_asked_until_a_probe_may_find_it_mended() -> None:
    world = World()
    world.script(PRIMARY, *[refused(BROKEN)] * 5)
    for number in range(20):
        assert ask(world, f"{number}", offset=number)[1].model_id == FALLBACK
    assert world.attempts(PRIMARY) == 5
    world.now_s += 1.1
    for number in range(20, 23):
        assert ask(world, f"{number}", offset=number)[1].model_id == PRIMARY
    assert world.value("model_breaker_state", model=PRIMARY) == 0


def test_without_a_model_to_ask_the_reason_is_the_breaker() -> None:
    world = World(fallback=None)
    world.script(PRIMARY, refused(DENIED))
    assert reason_of(failure(world)[0]) == "denied"
    error, spent = failure(world)
    assert isinstance(error, BreakerOpenError)
    assert (reason_of(error), spent) == ("breaker", Spent())


def test_throttling_lowers_concurrency_and_opens_the_breaker_only_at_the_floor() -> None:
    world = World(fallback=None, attempts=1, most_in_flight=AdaptiveLimit.FLOOR * 4)
    world.script(PRIMARY, *[refused(THROTTLED)] * 20)
    reasons = []
    for number in range(12):
        world.now_s += 0.1
        reasons.append(reason_of(failure(world, f"{number}")[0]))
    assert world.value("model_attempts_limit", model=PRIMARY) == AdaptiveLimit.FLOOR
    # Two throttled calls halve it down to the floor; five more are counted as failures.
    assert reasons == ["throttled"] * 6 + ["breaker"] * 6


def test_a_model_without_room_before_the_deadline_leaves_the_call_to_the_fallback() -> None:
    world = World(primary={"id": PRIMARY, "requests_per_minute": 6})
    assert [ask(world, f"{n}", offset=n)[1].model_id for n in range(2)] == [PRIMARY, FALLBACK]
    alone = World(primary={"id": PRIMARY, "tokens_per_minute": 60}, fallback=None)
    error, spent = failure(alone)
    assert isinstance(error, RateLimitedError)
    assert (reason_of(error), spent) == ("rate_limited", Spent())


def test_calls_wait_for_a_slot_and_a_cancelled_one_leaves_it() -> None:
    world = World(most_in_flight=1, cheaper=None, fallback=None)

    async def run() -> None:
        entered, release = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            entered.set()
            await release.wait()

        world.script(PRIMARY, hold)
        held, waiting, last = (asyncio.create_task(world.ask(f"{n}", offset=n)) for n in range(3))
        await entered.wait()
        await asyncio.sleep(0)
        assert world.attempts(PRIMARY) == 1
        assert world.value("model_attempts_in_flight", model=PRIMARY) == 1
        waiting.cancel()
        held.cancel()
        assert (await last)[0].endswith("on 2")
        assert world.ended(PRIMARY, "cancelled") == 1

    asyncio.run(run())


def test_a_model_that_never_answers_before_the_deadline_is_a_broken_one() -> None:
    world = World(fallback=None)

    async def hang_until_cancelled(number: int) -> None:
        sent = asyncio.Event()

        async def hang() -> None:
            world.now_s += 4.0
            sent.set()
            await asyncio.Event().wait()

        world.script(PRIMARY, hang)
        task = asyncio.create_task(world.ask(f"{number}", offset=number))
        await sent.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for number in range(5):
        asyncio.run(hang_until_cancelled(number))
    assert isinstance(failure(world)[0], BreakerOpenError)


def test_a_model_is_only_called_while_deliberating() -> None:
    with pytest.raises(LookupError, match="deliberat"):
        asyncio.run(World().model.ainvoke("hello"))
    with pytest.raises(NotImplementedError, match="ainvoke"):
        World().model.invoke("hello")


def test_a_switch_takes_effect_with_the_next_call() -> None:
    world = World(fallback=None)

    async def run() -> tuple[str, str]:
        entered, release = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            entered.set()
            await release.wait()

        world.script(PRIMARY, hold)
        under_way = asyncio.create_task(world.ask("first", offset=1))
        await entered.wait()
        world.calls.routes.switch(RouteSettings.model_validate({"primary": FALLBACK}))
        next_one, _ = await world.ask("second", offset=2)
        release.set()
        return (await under_way)[0], next_one

    assert asyncio.run(run()) == (f"{PRIMARY} on first", f"{FALLBACK} on second")


def test_a_switch_keeps_what_is_known_of_models_that_stay() -> None:
    world = World()
    before = world.calls.routes.table
    after = world.calls.routes.switch(RouteSettings.model_validate({"primary": FALLBACK, "fallback": PRIMARY}))
    assert (after.primary, after.fallback, after.cheaper) == (before.fallback, before.primary, None)


def test_a_switch_to_a_model_that_cannot_be_used_changes_nothing() -> None:
    world = World(cheaper=None)
    world.no_tools.add(CHEAPER)
    world.model.bind_tools([{"name": "t"}], tool_choice="t")
    routes = world.calls.routes
    before = routes.table
    for model, problem in ((CHEAPER, "takes no tools"), ("nobody.knows-v1:0", "No price")):
        with pytest.raises(ConfigurationError, match=problem):
            routes.switch(RouteSettings.model_validate({"primary": model}))
    assert routes.table is before


def test_bound_tools_reach_the_model_and_are_part_of_the_question() -> None:
    world = World()
    tools = world.model.bind_tools([{"name": "t"}], tool_choice="t")

    async def run() -> None:
        with deliberation_of(CallContext(TopicPartition("in", 0), 0, "judge", "1", "shop", 5.0)):
            await tools.ainvoke("hello")
            await world.model.ainvoke("hello")

    asyncio.run(run())
    assert world.attempts(PRIMARY) == 2


@pytest.mark.parametrize(("stop", "kept"), [("end_turn", True), ("tool_use", True), ("guardrail_intervened", False)])
def test_only_whole_answers_are_given_to_other_events(stop: str, *, kept: bool) -> None:
    assert worth_keeping(AIMessage("x", response_metadata={"stopReason": stop})) is kept


def test_a_kept_answer_is_the_message_without_its_exchange() -> None:
    call = {"name": "t", "args": {"score": 0.5}, "id": "1", "type": "tool_call"}
    message = AIMessage(
        [{"type": "text", "text": "é"}],
        tool_calls=[call],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"stopReason": "tool_use", "ResponseMetadata": {"RequestId": "r"}},
    )
    kept = unpack(pack(message))
    assert (kept.content, kept.tool_calls, kept.usage_metadata) == (
        message.content,
        message.tool_calls,
        message.usage_metadata,
    )
    assert kept.response_metadata == {"stopReason": "tool_use"}


def test_every_refusal_has_its_own_reason() -> None:
    kinds: list[Callable[[], GatewayError]] = list(GatewayError.__subclasses__())
    assert len({kind().reason for kind in kinds}) == len(kinds)
