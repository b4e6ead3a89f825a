"""What is paid for once, what is written down of it, and what nobody can know."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from headgate_enricher.gateway.protocols import CallContext
from headgate_enricher.gateway.spending import Spent, deliberation_of
from headgate_runtime.records import TopicPartition
from headgate_schemas.agent import Usage
from langchain_core.messages import HumanMessage

from .scripted_models import INPUT_TOKENS, OUTPUT_TOKENS, PRIMARY, CountingPurse, World, refused

USED = Usage(1, INPUT_TOKENS, OUTPUT_TOKENS)
PRIMARY_COST = 140  # of USED, micro-dollars
THROTTLED = 429


def ask(world: World, text: str = "hello", **options: Any) -> tuple[str, Spent]:
    answer, spending = asyncio.run(world.ask(text, **options))
    return answer, spending.spent


def test_the_same_question_of_the_same_tenant_is_paid_for_once() -> None:
    world = World()
    first, _ = ask(world, offset=1)
    again, spent = ask(world, offset=2)
    assert (again, spent) == (first, Spent(PRIMARY, Usage(), 0))
    ask(world, offset=3, tenant="other")
    ask(world, "other question", offset=4)
    assert world.attempts(PRIMARY) == 3
    assert world.value("model_answers_reused_total", source="cached") == 1


def test_the_answers_used_last_are_kept() -> None:
    world = World()
    for offset, text in enumerate(["a", "b", "a", "c", "a", "b"]):
        ask(world, text, offset=offset)
    assert world.attempts(PRIMARY) == 4  # b was put out by c


def test_an_answer_recorded_for_the_position_is_used_and_its_price_reported_again() -> None:
    world = World()
    answer, spent = ask(world, offset=7)
    restarted = World()
    restarted.calls.record_in(world.recordings)
    assert ask(restarted, "a prompt that memory has changed", offset=7) == (answer, spent)
    assert restarted.attempts(PRIMARY) == 0
    ask(restarted, offset=8)
    assert restarted.attempts(PRIMARY) == 1


def test_a_cached_answer_is_recorded_before_it_is_used_and_found_again_for_nothing() -> None:
    world = World()
    answer, _ = ask(world, offset=1)
    ask(world, offset=2)
    paid, reused = (world.recordings.answers[offset, 0] for offset in (1, 2))
    assert (reused.message, reused.usage, reused.cost_microdollars, reused.reused) == (paid.message, Usage(), 0, True)
    assert (paid.usage, paid.cost_microdollars, paid.reused) == (USED, PRIMARY_COST, False)
    restarted = World()
    restarted.calls.record_in(world.recordings)
    assert ask(restarted, "a prompt that memory has changed", offset=2) == (answer, Spent(PRIMARY, Usage(), 0))
    assert restarted.attempts(PRIMARY) == 0


def test_each_call_of_a_deliberation_has_its_own_recording() -> None:
    world = World()

    async def twice() -> None:
        with deliberation_of(CallContext(TopicPartition("in", 0), 3, "judge", "1", "shop", 5.0)):
            await world.model.ainvoke("first")
            await world.model.ainvoke("second")

    asyncio.run(twice())
    assert list(world.recordings.answers) == [(3, 0), (3, 1)]


def test_an_answer_that_cannot_be_recorded_is_used_all_the_same() -> None:
    world = World()
    world.recordings.away = True
    assert ask(world)[0] == f"{PRIMARY} on hello"
    assert world.value("model_answers_unrecorded_total") == 1


def test_a_call_cut_off_at_the_deadline_is_a_call_whose_price_record_budget_and_metrics_leave_open() -> None:
    purse = CountingPurse(10_000)
    world = World(purse)

    async def cut_off() -> Spent:
        sent = asyncio.Event()

        async def hang() -> None:
            sent.set()
            await asyncio.Event().wait()

        world.script(PRIMARY, hang)
        with deliberation_of(CallContext(TopicPartition("in", 0), 0, "judge", "1", "shop", 5.0)) as spending:
            task = asyncio.create_task(world.model.ainvoke([HumanMessage("hello")]))
            await sent.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return spending.spent

    spent = asyncio.run(cut_off())
    assert (spent, spent.calls) == (Spent(PRIMARY, Usage(), 0, unanswered=1), 1)
    [(*_, most_microdollars)] = purse.reserved
    assert purse.settled == {}
    assert world.value("model_unsettled_microdollars_total", model=PRIMARY) == most_microdollars
    assert world.ended(PRIMARY, "cancelled") == 1


@pytest.mark.parametrize(("error", "calls"), [(refused(THROTTLED), 1), (TimeoutError(), 2)])
def test_the_record_counts_attempts_that_may_have_been_paid_beside_the_one_that_was(
    error: Exception, calls: int
) -> None:
    world = World()
    world.script(PRIMARY, error)
    spent = ask(world)[1]
    assert (spent.calls, spent.usage) == (calls, USED)
