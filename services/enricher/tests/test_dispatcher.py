"""The dispatcher's dealings with its surroundings: a registry that is away, backpressure, draining; and finding agents."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
from headgate_enricher.agents import load_agent
from headgate_enricher.dispatcher import Dispatcher
from headgate_enricher.forgetting import Forgetting
from headgate_enricher.intake import Intake, PassedOverError, RoutedIntake
from headgate_enricher.limits import Limits
from headgate_enricher.metrics import EnricherMetrics
from headgate_enricher.work import AgentFaultError, Answer, Work
from headgate_runtime.errors import ConfigurationError, UnavailableError
from headgate_runtime.metrics import Metrics
from headgate_runtime.outbox import Outbox
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_runtime.state import StateStore
from headgate_runtime.testing import MemoryBroker, MemoryConsumer
from headgate_runtime.testing.producer import MemoryTransactionalProducer
from headgate_schemas.agent import Decision, Event, GreyCase, Memory

from .deciders import judge_of, sole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headgate_enricher.progress import Mark
    from langchain_core.language_models import BaseChatModel

SOURCE = TopicPartition("in", 0)
OUT = TopicPartition("out", 0)
RULES = Decision("allow", "", 0.0, "low", 1.0, "rules")


class PlainDeadLetters:
    def record(self, source: Record, *, cause: str, message: str, **_: object) -> OutgoingRecord:
        assert message
        return OutgoingRecord("dlq", b"k", cause.encode() + b" " + (source.value or b""))


@dataclass
class Surroundings:
    """Everything around one dispatcher, small."""

    limits: Limits = field(default_factory=Limits)
    registry_away: bool = False
    model_hangs: bool = False
    asks: bool = True
    now_s: float = 0.0
    asked: list[Work] = field(default_factory=list)
    answers: list[tuple[Work, Answer]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic("in")
        self.broker.create_topic("out")
        self.broker.create_topic("dlq")
        self.broker.create_topic("reviews")
        self.broker.create_topic("progress")
        self.broker.create_topic("memory")
        self.consumer = MemoryConsumer(self.broker, "group")
        self.consumer.subscribe(["in"], on_assign=lambda _: {}, on_revoke=lambda _: None, on_lost=lambda _: None)
        self.consumer.poll(1, 0)
        self.metrics = Metrics()
        self.forgetting = Forgetting()
        routing = sole(self)
        self.dispatcher = Dispatcher(
            consumer=self.consumer,
            intake=RoutedIntake(Intake(self, lambda _: None), routing),
            judge=judge_of(routing),
            model=self,
            enrichment=cast("Any", self),
            dead_letters=cast("Any", PlainDeadLetters()),
            outbox=Outbox(MemoryTransactionalProducer(self.broker, "t"), lambda: self.now_s),
            progress_log=cast("Any", self),
            results=cast("Any", self),
            memories=StateStore(topic="memory", codecs={"group": cast("Any", self)}, read=lambda *_: None, capacity=10),
            forgetting=self.forgetting,
            limits=self.limits,
            metrics=EnricherMetrics(self.metrics),
            clock=lambda: self.now_s,
        )
        self.dispatcher.assign([SOURCE])
        self.dispatcher.tick(draining=False)
        self.now_s += 1.0

    name = "surroundings"
    version = "1"

    def load(self, partitions: Sequence[TopicPartition], _: object) -> dict[TopicPartition, Mark]:
        assert partitions == [SOURCE]
        return {}

    def restore(self, partitions: Mapping[TopicPartition, object]) -> None:
        assert list(partitions) == [SOURCE]

    def release(self, partitions: Iterable[TopicPartition]) -> None:
        assert set(partitions) <= {SOURCE}

    def answers_from(self, source: TopicPartition) -> int:
        assert source == SOURCE
        return 0

    def record(self, source: TopicPartition, mark: Mark) -> OutgoingRecord:
        return OutgoingRecord("progress", str(source).encode(), str(mark.watermark).encode())

    def decode(self, value: bytes | None) -> dict[str, Any]:
        if value == b"passed":
            raise PassedOverError
        if self.registry_away:
            raise UnavailableError("the registry does not answer")
        review = value.decode() if value in {b"uncertain", b"wrong"} else None
        return {"grey": value == b"grey", "decision": dataclasses.replace(RULES, review=review)}

    def dump(self, state: Memory) -> bytes:
        raise AssertionError(state)

    def remember(self, memory: Memory | None, event: Event) -> Memory | None:
        assert memory is None
        assert event
        return None

    def triage(self, events: Sequence[Event], memories: Sequence[Memory | None]) -> Sequence[Decision | GreyCase]:
        assert not any(memories)
        return [GreyCase(event, {}, RULES) if event["grey"] else event["decision"] for event in events]

    async def deliberate(self, case: GreyCase) -> Decision:
        raise NotImplementedError

    def fall_back(self, case: GreyCase, reason: str) -> Decision:
        return Decision("allow", str(case), 0.0, "low", 0.5, "fallback", fallback_reason=reason)

    def build(self, work: Work, *_: object, **__: object) -> OutgoingRecord:
        record = work.record
        padding = b" " * len(record.value or b"") if (record.value or b"").startswith(b"large") else b""
        return OutgoingRecord("out", record.key, str(record.offset).encode() + padding)

    def ask(self, output: OutgoingRecord, reason: str, **_: object) -> OutgoingRecord | None:
        if not self.asks:
            return None
        if reason == "wrong":
            raise AgentFaultError("no such reason; mend the agent.")
        return OutgoingRecord("reviews", output.key, reason.encode() + b" " + (output.value or b""))

    def submit(self, work: Work, _: GreyCase) -> None:
        self.asked.append(work)

    def cancel(self, works: Iterable[Work]) -> None:
        self.asked = [work for work in self.asked if work not in set(works)]

    def collect(self) -> list[tuple[Work, Answer]]:
        answers, self.answers = self.answers, []
        return answers

    def close(self) -> None:
        self.asked.clear()
        if self.model_hangs:
            raise TimeoutError("the model's thread does not end")

    def feed(self, *values: bytes, start: int = 0) -> None:
        self.dispatcher.process(
            [Record("in", 0, start + index, 0, f"k{index}".encode(), value) for index, value in enumerate(values)]
        )

    def pass_time(self, seconds: float = 1.0) -> None:
        self.now_s += seconds
        self.dispatcher.tick(draining=False)

    def committed(self) -> list[int]:
        return [int(record.value or b"-1") for record in self.broker.records("out")]


def test_records_wait_for_a_registry_that_is_away_and_none_is_lost() -> None:
    world = Surroundings(registry_away=True)
    world.feed(b"fast", b"fast")
    world.pass_time()
    assert world.committed() == []
    world.registry_away = False
    world.pass_time(2.0)
    assert world.committed() == [0, 1]


def test_consumption_pauses_at_the_backlog_and_resumes_at_half_of_it() -> None:
    world = Surroundings(Limits(max_backlog=10, event_deadline_s=1000))
    world.feed(*[b"grey"] * 11)
    assert world.dispatcher.congested()
    world.answers = [(work, Answer(RULES, None, seconds=0.1)) for work in world.asked[:4]]
    world.pass_time()
    assert world.dispatcher.congested()
    world.answers = [(work, Answer(RULES, None, seconds=0.1)) for work in world.asked[4:7]]
    world.pass_time()
    assert not world.dispatcher.congested()


def test_a_scattered_done_set_pauses_consumption_until_the_oldest_event_is_done() -> None:
    world = Surroundings(Limits(max_done_bytes=8, event_deadline_s=1000))
    world.feed(b"grey", *[b"fast"] * 100)
    world.pass_time()
    assert world.dispatcher.congested()
    world.answers = [(world.asked[0], Answer(RULES, None, seconds=0.1))]
    world.pass_time()
    assert not world.dispatcher.congested()


def test_no_more_is_triaged_than_the_model_can_take() -> None:
    world = Surroundings(Limits(triage_batch=2, max_at_model=4, event_deadline_s=1000))
    world.feed(*[b"grey"] * 9)
    assert len(world.asked) == 4
    world.answers = [(work, Answer(RULES, None, seconds=0.1)) for work in world.asked]
    world.pass_time()
    assert len(world.asked) == 8


def test_it_is_busy_until_the_last_output_is_committed() -> None:
    world = Surroundings()
    world.feed(b"grey")
    world.pass_time()
    assert world.dispatcher.busy()
    world.answers = [(world.asked[0], Answer(None, "throttled", seconds=0.1))]
    world.pass_time()
    assert not world.dispatcher.busy()
    assert world.committed() == [0]
    assert world.metrics.registry.get_sample_value("headgate_fallbacks_total", {"reason": "throttled"}) == 1


def test_a_commit_waits_for_its_interval() -> None:
    world = Surroundings(Limits(commit_interval_s=0.1))
    world.feed(b"fast")
    world.pass_time(0.0)
    world.feed(b"fast", start=1)
    world.pass_time(0.05)
    assert world.committed() == [0]
    world.pass_time(0.06)
    assert world.committed() == [0, 1]


def test_an_agent_is_found_by_name_and_a_missing_one_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"No agent 'nobody' \(found: .*risk"):
        load_agent("nobody", cast("BaseChatModel", None), model_id="m")


def test_the_deadline_clock_is_the_monotonic_one() -> None:
    world = Surroundings()
    world.now_s = time.monotonic()
    world.feed(b"grey")
    assert 0 < world.asked[0].deadline_s - time.monotonic() <= Limits().event_deadline_s


def test_an_event_no_broker_would_take_is_dead_lettered_and_does_not_stop_the_service() -> None:
    world = Surroundings(Limits(max_output_bytes=20))
    world.feed(b"fast", b"large" * 4, b"large" * 3, b"fast")
    world.pass_time()
    assert world.committed() == [0, 2, 3]
    assert [record.value for record in world.broker.records("dlq")] == [b"too_large " + b"large" * 4]


def test_a_person_is_asked_in_the_transaction_of_the_decision_and_nothing_waits() -> None:
    world = Surroundings()
    world.feed(b"fast", b"uncertain", b"fast", b"wrong", b"uncertain")
    assert world.broker.records("reviews") == []
    world.pass_time()
    assert world.committed() == [0, 1, 2, 4]
    assert [record.value for record in world.broker.records("reviews")] == [b"uncertain 1", b"uncertain 4"]
    assert [record.value for record in world.broker.records("dlq")] == [b"agent_error wrong"]
    assert not world.dispatcher.busy()
    count = world.metrics.registry.get_sample_value
    assert count("headgate_reviews_requested_total", {"reason": "uncertain"}) == 2
    assert count("headgate_decision_latency_seconds_count") == 5


def test_where_nobody_is_to_be_asked_no_review_is_counted() -> None:
    world = Surroundings(asks=False)
    world.feed(b"uncertain")
    world.pass_time()
    assert (world.committed(), world.broker.records("reviews")) == ([0], [])
    count = world.metrics.registry.get_sample_value
    assert count("headgate_reviews_requested_total", {"reason": "uncertain"}) is None


def test_what_is_passed_over_is_done_without_an_output() -> None:
    world = Surroundings()
    world.feed(b"grey", b"passed", b"passed")
    world.pass_time()
    assert (world.committed(), world.broker.committed("group")) == ([], {SOURCE: 0})
    world.answers = [(world.asked[0], Answer(RULES, None, seconds=0.1))]
    world.pass_time()
    assert (world.committed(), world.broker.committed("group")) == ([0], {SOURCE: 3})
    assert not world.dispatcher.busy()


def test_a_model_thread_that_does_not_end_leaves_no_transaction_open() -> None:
    world = Surroundings(model_hangs=True)
    for number in range(2):
        # The second commit is not due yet, so that its output is in an open transaction.
        world.feed(b"fast", start=number)
        world.pass_time(0.0)
    assert world.broker.log(OUT).stable_end < world.broker.log(OUT).end
    with pytest.raises(TimeoutError, match="does not end"):
        world.dispatcher.close()
    assert world.broker.log(OUT).stable_end == world.broker.log(OUT).end


def test_it_is_ready_while_what_it_took_is_committed_in_time() -> None:
    world = Surroundings(Limits(event_deadline_s=1000))
    for number in range(10):
        world.feed(b"fast", start=number)
        world.pass_time(20.0)
        assert world.dispatcher.why_not_ready() is None


def outage() -> object:
    raise UnavailableError("the broker does not answer")


@pytest.mark.parametrize("trouble", ["broker", "registry", "model"])
def test_it_is_not_ready_while_a_record_waits_too_long(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Surroundings(Limits(event_deadline_s=1000))
    world.registry_away = trouble == "registry"
    if trouble == "broker":
        monkeypatch.setattr(world.consumer, "group_metadata", outage)
    world.feed(b"grey" if trouble == "model" else b"fast")
    world.pass_time(30.0)
    assert world.dispatcher.why_not_ready() is None
    world.pass_time(1.0)
    assert "has waited 31 s" in (world.dispatcher.why_not_ready() or "")
    world.registry_away = False
    monkeypatch.undo()
    world.answers = [(work, Answer(RULES, None, seconds=0.1)) for work in world.asked]
    for _ in range(3):
        world.pass_time(5.0)
    assert world.dispatcher.why_not_ready() is None


def test_what_a_partition_had_waiting_leaves_with_it() -> None:
    world = Surroundings(Limits(event_deadline_s=1000))
    world.feed(b"grey")
    world.pass_time(31.0)
    assert world.dispatcher.why_not_ready()
    world.dispatcher.lose([SOURCE])
    world.pass_time(0.0)
    assert world.dispatcher.why_not_ready() is None
