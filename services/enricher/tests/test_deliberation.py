"""Asking the model: a deadline, a bound on calls, and a reason for every failure."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING

import pytest
import structlog
from headgate_enricher.deliberation import Deliberation
from headgate_enricher.gateway.concurrency import AdaptiveLimit, Slots
from headgate_enricher.gateway.spending import NOTHING_SPENT, Spent, current_spending
from headgate_enricher.judge import Judge
from headgate_enricher.lanes import Lanes
from headgate_enricher.model_thread import ModelThread
from headgate_enricher.progress import PartitionProgress
from headgate_enricher.routing import Decider
from headgate_enricher.work import AgentFaultError, Answer, Partition, Work
from headgate_runtime.records import Record, TopicPartition
from headgate_runtime.state import PartitionState, Spill
from headgate_runtime.testing import eventually
from headgate_schemas.agent import Decision, Event, GreyCase, Memory, ModelAnswerError, Usage
from structlog.testing import capture_logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from headgate_enricher.gateway.protocols import CallContext


MODEL = Decision("allow", "fine", 0.2, "low", 0.9, "model", "a" * 64, Usage(1, 10, 5))
FLOOR = Decision("allow", "floor", 0.0, "low", 0.5, "rules")
CASE = GreyCase({"n": 1}, {}, FLOOR)


class PlainCodec:
    def dump(self, state: Memory) -> bytes:
        return json.dumps(state).encode()

    def load(self, value: bytes) -> Memory:
        loaded: Memory = json.loads(value)
        return loaded


class ScriptedAgent:
    name = "scripted"
    version = "1"

    def __init__(self, deliberate: Callable[[GreyCase], Awaitable[Decision]]) -> None:
        self._deliberate = deliberate

    def remember(self, memory: Memory | None, event: Event) -> Memory | None:
        if event.get("forgettable"):
            raise LookupError(event["forgettable"])
        return {"events": (memory or {"events": 0})["events"] + 1}

    def triage(self, events: Sequence[Event], memories: Sequence[Memory | None]) -> Sequence[Decision | GreyCase]:
        assert len(memories) == len(events)
        if any(event.get("broken") for event in events):
            raise ValueError("broken")
        return [None if event.get("nothing") else FLOOR for event in events]  # type: ignore[misc]  # a faulty agent

    async def deliberate(self, case: GreyCase) -> Decision:
        return await self._deliberate(case)

    def fall_back(self, case: GreyCase, reason: str) -> Decision:
        if reason == "worst":
            raise RuntimeError(case)
        return Decision("allow", reason, 0.0, "low", 0.5, "fallback", fallback_reason=reason)


def ask(deliberate: Callable[[GreyCase], Awaitable[Decision]], seconds: float = 5.0) -> Answer:
    return asyncio.run(deliberation().ask(due(deliberate, time.monotonic() + seconds), CASE))


def deliberation(most: int = 2) -> Deliberation:
    return Deliberation(
        tenant=lambda event: event.get("owner"),
        most=most,
        reason_of=lambda _: "classified",
    )


def due(deliberate: Callable[[GreyCase], Awaitable[Decision]], deadline_s: float) -> Work:
    asked = work(7, owner="shop", by=Decider(ScriptedAgent(deliberate), 0))
    asked.deadline_s = deadline_s
    return asked


async def forever(_: GreyCase) -> Decision:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def test_a_decision_of_the_model_is_the_answer() -> None:
    async def decide(_: GreyCase) -> Decision:
        return MODEL

    answer = ask(decide)
    assert (answer.decision, answer.reason) == (MODEL, None)


def test_a_model_knows_for_which_event_it_is_called_and_the_answer_what_that_cost() -> None:
    seen: list[CallContext] = []

    async def spend(_: GreyCase) -> Decision:
        spending = current_spending()
        seen.append(spending.context)
        spending.asked("first")
        spending.settled()
        spending.answered("first", Usage(1, 10, 5), 7)
        spending.answered("second", Usage(1, 20, 6), 8)
        return MODEL

    answer = ask(spend)
    [context] = seen
    assert (context.source, context.offset) == (TopicPartition("in", 0), 7)
    assert (context.agent, context.agent_version, context.tenant) == ("scripted", "1", "shop")
    assert answer.spent == Spent("second", Usage(2, 30, 11), 15)


def test_past_the_deadline_there_is_no_decision() -> None:
    answer = ask(forever, 0.05)
    assert (answer.decision, answer.reason, answer.spent) == (None, "deadline", NOTHING_SPENT)
    assert answer.seconds >= 0.05


def test_waiting_for_a_free_call_counts_towards_the_deadline() -> None:
    async def run() -> list[Answer]:
        slots = Slots(AdaptiveLimit(1))

        async def ask_forever(case: GreyCase) -> Decision:
            await slots.acquire()
            current_spending().asked("model")
            return await forever(case)

        asking, until = deliberation(), due(ask_forever, time.monotonic() + 0.05)
        return await asyncio.gather(asking.ask(until, CASE), asking.ask(until, CASE))

    answers = asyncio.run(run())
    assert [(answer.reason, answer.spent.model_id) for answer in answers] == [("deadline", "model"), ("deadline", None)]
    assert [answer.spent.calls for answer in answers] == [1, 0]


def test_no_more_deliberations_than_allowed_run_at_once() -> None:
    running: list[int] = [0, 0]

    async def count(_: GreyCase) -> Decision:
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(0.01)
        running[0] -= 1
        return MODEL

    async def run() -> list[Answer]:
        asking, until = deliberation(3), due(count, time.monotonic() + 5)
        return await asyncio.gather(*(asking.ask(until, CASE) for _ in range(20)))

    assert all(answer.decision == MODEL for answer in asyncio.run(run()))
    assert running[1] == 3


def test_what_a_model_raises_becomes_a_reason() -> None:
    async def refuse(_: GreyCase) -> Decision:
        raise ConnectionError("refused")

    assert ask(refuse).reason == "classified"


def test_a_timeout_inside_the_model_is_not_the_deadline() -> None:
    async def time_out(_: GreyCase) -> Decision:
        raise TimeoutError

    assert ask(time_out).reason == "classified"


def test_a_useless_answer_that_was_paid_for_keeps_its_price() -> None:
    async def answer_nonsense(_: GreyCase) -> Decision:
        current_spending().answered("model", Usage(2, 300, 40), 17)
        raise ModelAnswerError("invalid_answer", Usage(2, 300, 40), "b" * 64)

    answer = ask(answer_nonsense)
    decision = JUDGE.conclude(work(7), CASE, answer)
    assert (decision.tier, decision.fallback_reason) == ("fallback", "invalid_answer")
    assert (answer.spent, decision.prompt_hash) == (Spent("model", Usage(2, 300, 40), 17), "b" * 64)


def test_a_fallback_that_fails_is_the_agents_fault() -> None:
    with pytest.raises(AgentFaultError, match="RuntimeError"):
        JUDGE.conclude(work(7), CASE, Answer(None, "worst", seconds=0.1))


DECIDER = Decider(ScriptedAgent(forever), 0)
JUDGE = Judge([DECIDER])
MEMORIES: PartitionState[Memory] = PartitionState(PlainCodec(), Spill(None, "in-0"), 10)


def work(number: int, *, key: bytes | None = b"k", by: Decider = DECIDER, **event: object) -> Work:
    source = TopicPartition("in", 0)
    partition = Partition(source, PartitionProgress(), (MEMORIES,), Lanes())
    return Work(partition, Record("in", 0, number, 0, key, b"v"), event, time.monotonic() + 5, by)


def remembered(done: Work) -> Memory | None:
    """What the event changes the memory of its key to; None where it does not."""
    return done.changes[-1][2] if done.changes else None


def test_triage_that_raises_costs_only_the_event_at_fault() -> None:
    works = [work(0), work(1, broken=True), work(2)]
    JUDGE.triage(works)
    assert works[0].triaged == works[2].triaged == FLOOR
    assert isinstance(works[1].triaged, AgentFaultError)


def test_triage_that_returns_no_decision_is_the_agents_fault() -> None:
    works = [work(0, nothing=True), work(1)]
    JUDGE.triage(works)
    assert isinstance(works[0].triaged, AgentFaultError)
    assert works[1].triaged == FLOOR


def test_each_event_finds_what_those_before_it_left_and_one_without_a_key_finds_nothing() -> None:
    works = [work(number, key=b"remembered") for number in range(3)]
    works.insert(1, work(9, key=None))
    JUDGE.triage(works)
    assert [each.memory for each in works] == [None, None, {"events": 1}, {"events": 2}]
    assert [remembered(each) for each in works] == [{"events": 1}, None, {"events": 2}, {"events": 3}]


def test_an_event_that_cannot_be_remembered_is_at_fault_and_changes_no_memory() -> None:
    works = [work(0, key=b"odd"), work(1, key=b"odd", forgettable=True), work(2, key=b"odd")]
    JUDGE.triage(works)
    assert [isinstance(each.triaged, AgentFaultError) for each in works] == [False, True, False]
    assert [remembered(each) for each in works] == [{"events": 1}, None, {"events": 2}]


async def nothing_to_close() -> None:
    return


def test_answers_come_back_from_the_model_thread() -> None:
    async def answer(_: Work, __: GreyCase) -> Answer:
        return Answer(MODEL, None, seconds=0.1)

    thread = ModelThread(answer, nothing_to_close)
    grey = work(0)
    thread.submit(grey, CASE)
    [(done, found)] = eventually(thread.collect)
    assert done is grey
    assert found.decision == MODEL
    thread.close()


def test_cancelled_work_gives_no_answer_and_close_ends_what_is_left() -> None:
    started: list[GreyCase] = []
    ended: list[str] = []

    async def wait(_: Work, case: GreyCase) -> Answer:
        started.append(case)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        raise AssertionError("unreachable")

    async def close_model() -> None:
        ended.append("closed")

    thread = ModelThread(wait, close_model)
    first, second = work(0), work(1)
    thread.submit(first, CASE)
    thread.submit(second, CASE)
    eventually(lambda: len(started) == 2)
    thread.cancel([first])
    eventually(lambda: ended == ["cancelled"])
    assert thread.collect() == []
    thread.close()
    assert ended == ["cancelled", "cancelled", "closed"]


def test_a_failed_model_thread_is_not_survived() -> None:
    async def fail(_: Work, __: GreyCase) -> Answer:
        raise ValueError("a defect")

    thread = ModelThread(fail, nothing_to_close)
    thread.submit(work(0), CASE)

    def fault() -> str:
        try:
            thread.collect()
        except RuntimeError as error:
            return str(error.__cause__)
        return ""

    assert eventually(fault) == "a defect"
    thread.close()


TRACED = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"), ("event-id", b"e7"))
SECRET = "a payload's value"
NAMED = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "event_id": "e7"}


def test_a_log_line_about_an_event_names_it_and_its_trace_and_no_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(case: GreyCase) -> Decision:
        raise ValueError(case.event["secret"])

    heard = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    for module in ("judge", "deliberation"):
        monkeypatch.setattr(f"headgate_enricher.{module}.logger", heard)
    failing = Decider(ScriptedAgent(fail), 0)
    traced = work(1, key=b"traced", by=failing, forgettable=SECRET)
    traced.record.headers = TRACED
    with capture_logs() as lines:
        Judge([failing]).triage([traced])
        asyncio.run(deliberation().ask(traced, GreyCase({"secret": SECRET}, {}, FLOOR)))
    remembering, deliberating = lines
    assert NAMED.items() <= remembering.items()
    assert NAMED.items() <= deliberating.items()
    assert (remembering["error"], deliberating["error"]) == ("LookupError", "ValueError")
    assert "in remember" in remembering["traceback"]
    assert SECRET not in str(lines)
