"""Replays: recorded answers, what failed then fails again, where the outputs go, and what may be paid."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from headgate_enricher.config import Settings
from headgate_enricher.deliberation import Deliberation
from headgate_enricher.enrichment import Enrichment
from headgate_enricher.gateway.errors import reason_of
from headgate_enricher.gateway.protocols import CallContext
from headgate_enricher.gateway.spending import NOTHING_SPENT, Spent, current_spending
from headgate_enricher.replay.answers import NotRecordedError, RecordedAnswers
from headgate_enricher.replay.deliberation import RecordedDeliberation, recorded
from headgate_enricher.replay.enrichment import ReplayedEnrichment
from headgate_enricher.replay.purse import FixedPurse
from headgate_enricher.replay.settings import ReplaySettings
from headgate_enricher.results import answer_key
from headgate_enricher.topics import find_topics
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import UnavailableError
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.testing import MemoryBroker
from headgate_schemas import field_getter
from headgate_schemas.agent import Decision, GreyCase, ModelAnswerError, Usage

from .decided_events import CONTRACTS, DECIDED, RECORD, Named, decided, registry, work_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headgate_enricher.work import Answer, Work

RESULTS = CONTRACTS.topic("model-results")
FLOOR = Decision("allow", "floor", 0.0, "low", 0.5, "rules")
MODEL = Decision("allow", "fine", 0.2, "low", 0.9, "model", "a" * 64)


def context_of(work: Work) -> CallContext:
    source, offset, version = recorded(work)
    return CallContext(source, offset, "risk", version, "web", 0.0)


class Recordings:
    """A results topic, and the recorded answers read from it."""

    def __init__(self, folder: Path | None = None) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic(RESULTS.topic, 2)
        self.registry = registry()
        record = CONTRACTS.record(RESULTS.record)
        self.encoder = Encoder(self.registry, RESULTS.subject, record)
        self.answers = RecordedAnswers(Decoder(self.registry, record), folder)

    def keep(self, work: Work, number: int, text: str, **fields: Any) -> None:
        context = context_of(work)
        value = {
            "topic": context.source.topic,
            "partition": context.source.partition,
            "offset": context.offset,
            "agent_version": context.agent_version,
            "number": number,
            "model_id": "model-1",
            "answer": text,
            "input_tokens": 600,
            "output_tokens": 80,
            "cost_microdollars": 7,
            "answered_at": 0,
            "reused": False,
        } | fields
        key = answer_key(context, number)
        self.broker.append(OutgoingRecord(RESULTS.topic, key, self.encoder.encode(value), partition=number % 2))

    def load(self) -> RecordedAnswers:
        self.answers.load(self.broker.read_range, self.broker.partitions(RESULTS.topic))
        return self.answers


def grey(**metadata: Any) -> Work:
    return work_of(decided("model_flag", **{"agent": "risk", "fallback_reason": None} | metadata))


def fallen_back(reason: str, **metadata: Any) -> Work:
    return grey(tier="fallback", fallback_reason=reason, **metadata)


def test_an_answer_is_found_by_where_the_event_came_from_and_the_version_that_asked() -> None:
    known, asked, other = Recordings(), grey(), grey(agent_version="older")
    known.keep(asked, 0, "one")
    known.keep(asked, 1, "two", reused=True, input_tokens=0, output_tokens=0, cost_microdollars=0)
    known.keep(other, 0, "older")
    answers = known.load()
    first, second = (answers.find(context_of(asked), number) for number in (0, 1))
    assert (first.message, first.usage, first.cost_microdollars) == (b"one", Usage(1, 600, 80), 7)
    assert (second.message, second.usage, second.reused) == (b"two", Usage(), True)
    assert answers.find(context_of(other), 0).message == b"older"
    assert not answers.missed(*recorded(asked)[:2])


def test_the_first_of_two_answers_to_a_call_counts() -> None:
    known, asked = Recordings(), grey()
    known.keep(asked, 0, "one")
    known.keep(asked, 0, "again")
    assert known.load().find(context_of(asked), 0).message == b"one"


def test_what_is_not_recorded_is_no_answer_and_is_noticed_once() -> None:
    known, asked = Recordings(), grey()
    known.keep(asked, 0, "one")
    answers = known.load()
    with pytest.raises(NotRecordedError) as missed:
        answers.find(context_of(asked), 1)
    assert reason_of(missed.value) == "not_recorded"
    place = recorded(asked)[:2]
    assert (answers.missed(*place), answers.missed(*place)) == (True, False)


def test_an_answer_that_cannot_be_read_is_none() -> None:
    known, asked = Recordings(), grey()
    known.broker.append(OutgoingRecord(RESULTS.topic, answer_key(context_of(asked), 0), b"poison", partition=0))
    with pytest.raises(NotRecordedError):
        known.load().find(context_of(asked), 0)


def test_many_answers_wait_on_disk_and_leave_nothing_there(tmp_path: Path) -> None:
    known, works = Recordings(tmp_path / "state"), [grey() for _ in range(2_500)]
    for offset, each in enumerate(works):
        each.event["processing_metadata"]["source_offset"] = offset
        known.keep(each, 0, str(offset))
    answers = known.load()
    assert all(answers.find(context_of(each), 0).message == str(at).encode() for at, each in enumerate(works))
    answers.close()
    assert list((tmp_path / "state").iterdir()) == []


def test_no_room_on_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="name a STATE_DIR"):
        Recordings(tmp_path / "file")


def test_another_agents_answers_are_none_to_this_one() -> None:
    asked = work_of(decided("model_flag", agent="session", agent_version="v"), Named("risk", "today"))
    assert recorded(asked).agent_version == "today"


class Deliberated:
    """An agent that asks so many times for each decision, and says what came of it."""

    name, version = "risk", "today"

    def __init__(self, answers: RecordedAnswers, calls: int, fails: Callable[[], Exception] | None = None) -> None:
        self.answers = answers
        self.calls = calls
        self.fails = fails
        self.deliberations = 0

    async def deliberate(self, _: GreyCase) -> Decision:
        self.deliberations += 1
        spending = current_spending()
        for _call in range(self.calls):
            found = self.answers.find(spending.context, spending.next_call())
            spending.answered(found.model_id, found.usage, found.cost_microdollars)
        if self.fails is not None:
            raise self.fails()
        return MODEL

    def ask(self, work: Work) -> Answer:
        async def run() -> Answer:
            deliberation = Deliberation(tenant=None, most=2, reason_of=reason_of, origin_of=recorded)
            work.decider = type(work.decider)(cast("Any", self), 0)
            case = GreyCase(work.event, {}, FLOOR)
            return await RecordedDeliberation(deliberation.ask, self.answers).ask(work, case)

        return asyncio.run(run())


def test_a_decision_is_made_again_of_its_answers_at_what_they_cost_and_cut_off_attempts_stay_counted() -> None:
    known, asked = Recordings(), grey(model_calls=4)
    known.keep(asked, 0, "one")
    known.keep(asked, 1, "two")
    answer = Deliberated(known.load(), 2).ask(asked)
    assert answer.decision is MODEL
    assert answer.spent == Spent("model-1", Usage(2, 1200, 160), 14, unanswered=2)
    assert answer.spent.calls == 4


def test_what_got_no_answer_gets_none_again_even_where_one_came_too_late() -> None:
    spent = {"model_calls": 2, "input_tokens": 600, "output_tokens": 80, "cost_microdollars": 7, "model_id": "m"}
    known, asked = Recordings(), fallen_back("deadline", prompt_hash=None, **spent)
    known.keep(asked, 0, "late")
    agent = Deliberated(known.load(), 1)
    answer = agent.ask(asked)
    assert (answer.decision, answer.reason, answer.prompt_hash) == (None, "deadline", None)
    assert (answer.spent.calls, answer.spent.cost_microdollars, answer.spent.model_id) == (2, 7, "m")
    assert agent.deliberations == 0


def test_an_answer_that_was_of_no_use_is_judged_again() -> None:
    known, asked = Recordings(), fallen_back("refused", prompt_hash="b" * 64, model_calls=1)
    known.keep(asked, 0, "no")
    answers = known.load()
    answer = Deliberated(answers, 1, lambda: ModelAnswerError("refused", Usage(1, 600, 80), "b" * 64)).ask(asked)
    assert (answer.reason, answer.prompt_hash, answer.spent.calls) == ("refused", "b" * 64, 1)
    assert Deliberated(answers, 1).ask(asked).decision is MODEL


def test_a_fallback_with_fewer_answers_than_calls_is_as_it_was() -> None:
    known, asked = Recordings(), fallen_back("invalid_answer", prompt_hash="b" * 64, model_calls=3)
    known.keep(asked, 0, "look")
    answer = Deliberated(known.load(), 2).ask(asked)
    assert (answer.reason, answer.prompt_hash, answer.spent.calls) == ("invalid_answer", "b" * 64, 3)


@pytest.mark.parametrize("metadata", [{}, {"tier": "rules", "model_calls": 0}, {"agent": "session"}])
def test_a_decision_that_wants_an_answer_nobody_recorded_falls_back_as_such(metadata: dict[str, Any]) -> None:
    answer = Deliberated(Recordings().load(), 1).ask(grey(**metadata))
    assert (answer.decision, answer.reason, answer.spent) == (None, "not_recorded", Spent())


def test_the_output_has_the_events_way_and_says_what_it_is_made_again_of() -> None:
    known = registry()
    enrichment = Enrichment(
        contract=DECIDED.model_copy(update={"topic": "replay-x"}),
        read_as=RECORD,
        write_as=RECORD,
        encoder=Encoder(known, DECIDED.subject, RECORD),
        same_frame=Encoder(known, DECIDED.subject, RECORD).prefix,
        event_id=field_getter("event_id"),
        pipeline_version="1.2.3",
        requests=cast("Any", None),
    )
    event = decided("model_flag")
    output = ReplayedEnrichment(enrichment).build(work_of(event), FLOOR, NOTHING_SPENT, now_ms=7)
    value = Decoder(known, RECORD).decode(output.value)
    before = event["processing_metadata"]
    trace = {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    assert value["processing_metadata"] == before | {"processing_time": 7, "pipeline_version": "1.2.3"} | trace
    assert value["payload"] == event["payload"]
    assert value["agent_metadata"]["decision_reason"] == "floor"
    assert (output.topic, output.key, dict(output.headers)["headgate-replayed-from"]) == (
        "replay-x",
        b"user-1",
        b"1/17",
    )
    ReplayedEnrichment(enrichment).ask(output, "uncertain", now_ms=7)


def test_all_that_it_writes_is_its_own_with_the_schemas_of_what_it_is_made_like() -> None:
    settings = Settings(role="replay", group_id="replay-x", replay=ReplaySettings(topic="replay-x"))
    topics = find_topics(settings, CONTRACTS)
    assert topics.source.topic == "enriched-events"
    assert [topic.topic for topic in (topics.output, topics.dead_letters, *topics.beside)] == [
        "replay-x",
        "replay-x.dlq",
        "replay-x.progress",
        "replay-x.memory",
    ]
    assert (topics.output.subject, topics.memory.subject) == ("enriched-events-value", "enricher-memory-value")
    assert (topics.results.topic, topics.answers_kept) == ("model-results", False)
    paid = find_topics(
        settings.model_copy(update={"replay": ReplaySettings(topic="x", most_microdollars=1)}), CONTRACTS
    )
    assert ([topic.topic for topic in paid.beside], paid.answers_kept) == (
        ["x.progress", "x.memory", "x.results"],
        True,
    )


def test_ends_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_ENRICHER_REPLAY__TOPIC", "replay-x")
    monkeypatch.setenv("HEADGATE_ENRICHER_REPLAY__ENDS", '{"0": 12, "3": 0}')
    replay = Settings().replay
    assert (replay.topic, replay.ends, replay.recorded) == ("replay-x", {0: 12, 3: 0}, True)


def test_a_purse_of_its_own_pays_until_it_is_empty() -> None:
    purse = FixedPurse(100)
    first = asyncio.run(purse.reserve("risk", "web", 5, 70))
    assert first is not None
    assert asyncio.run(purse.reserve("risk", "web", 5, 70)) is None
    first.settle(5, 10)
    first.settle(5, 0)
    assert asyncio.run(purse.reserve("risk", "web", 5, 90)) is not None
    assert asyncio.run(purse.reserve("risk", "web", 5, 1)) is None
    assert asyncio.run(FixedPurse(0).reserve("risk", "web", 5, 1)) is None
