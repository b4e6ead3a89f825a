"""The join on a broker in memory: in order, exactly once, through restarts, outages and rebalances."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from headgate_enricher.reviews.app import Clients, Topics, build_worker
from headgate_enricher.reviews.config import Settings
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import ConfigurationError, UnavailableError
from headgate_runtime.kafka.admin import TopicInfo
from headgate_runtime.metrics import Metrics
from headgate_runtime.outbox import LONGEST_BACKOFF_S
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.testing import MemoryBroker, MemoryConsumer, MemoryRegistry, MemoryTransactionalProducer
from headgate_schemas import Contracts
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from headgate_runtime.testing.group import GroupMetadata

CONTRACTS = Contracts.load()
SETTINGS = Settings(instance="reviews-0", commit_interval_ms=1)
TOPICS = Topics.of(SETTINGS, CONTRACTS)
OVERRIDE = CONTRACTS.examples("review_outcome")["override"]
PARTITIONS = 2


class Registry(MemoryRegistry):
    """Does not answer for schemas it has not given out yet while ``away``."""

    away = False

    def schema(self, schema_id: int) -> dict[str, Any]:
        if self.away:
            raise UnavailableError("the registry does not answer")
        return super().schema(schema_id)


class Member(MemoryConsumer):
    """Has no proof of ownership for as many calls as ``faults``, as during a rebalance."""

    faults = 0

    def group_metadata(self) -> GroupMetadata:
        if self.faults:
            self.faults -= 1
            raise UnavailableError("the group has a rebalance")
        return super().group_metadata()


class Bench:
    """A broker with the join's topics, and instances of it on demand."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(max_record_bytes=4_000_000)
        self.registry = Registry()
        for topic in (TOPICS.source, TOPICS.output, TOPICS.revisions, TOPICS.dead_letters):
            self.broker.create_topic(topic.topic, PARTITIONS)
            self.registry.register(topic.subject, CONTRACTS.record(topic.record).text)
        self.encoder = Encoder(self.registry, TOPICS.source.subject, CONTRACTS.record("review_outcome"))
        self.now_s = 0.0
        self.start()

    def start(self) -> None:
        """Start an instance; one that runs is killed by that, its transaction aborted."""
        self.metrics = Metrics()
        self.consumer = Member(self.broker, SETTINGS.group_id)
        clients = Clients(
            consumer=self.consumer,
            transactions=MemoryTransactionalProducer(self.broker, "reviews-0"),
            registry=self.registry,
            read_range=self.broker.read_range,
        )
        self.worker = build_worker(SETTINGS, CONTRACTS, TOPICS, clients, self.metrics, clock=lambda: self.now_s)
        self.consumer.subscribe(
            [TOPICS.source.topic],
            on_assign=self.worker.assign,
            on_revoke=self.worker.revoke,
            on_lost=self.worker.lose,
        )

    def kill(self) -> None:
        self.consumer.expire()

    def answer(self, event_id: str, partition: int = 0, **outcome: Any) -> None:
        value = {**OVERRIDE, "event_id": event_id, "outcome": OVERRIDE["outcome"] | outcome}
        self.send(self.encoder.encode(value), partition)

    def send(self, value: bytes | None, partition: int = 0) -> None:
        self.broker.append(OutgoingRecord(TOPICS.source.topic, b"k", value, partition=partition))

    def take(self) -> None:
        """What the loop does with records, but for the tick."""
        self.worker.process(self.consumer.poll(0 if self.worker.congested() else 100, 0))

    def tick(self, seconds: float = 1.0) -> None:
        self.now_s += seconds
        self.worker.tick(draining=False)

    def run(self) -> None:
        for _ in range(4):
            self.take()
            self.tick()

    def later(self) -> list[tuple[str, int]]:
        """Event and revision of each later record, in order per partition."""
        decoder = Decoder(self.registry, CONTRACTS.record(TOPICS.output.record))
        found = (decoder.decode(record.value) for record in self.broker.records(TOPICS.output.topic))
        return [(each["event_id"], each["agent_metadata"]["revision"]) for each in found]

    def letters(self) -> list[dict[str, Any]]:
        decoder = Decoder(self.registry, CONTRACTS.record("dead_letter"))
        letters = [decoder.decode(record.value) for record in self.broker.records(TOPICS.dead_letters.topic)]
        return sorted(letters, key=lambda letter: int(letter["source_offset"]))

    def count(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"headgate_{name}", labels)


@pytest.fixture
def bench() -> Bench:
    return Bench()


EVENTS = ("a", "b", "c")


@given(st.lists(st.sampled_from([*EVENTS, "run", "take", "tick", "kill", "abort", "reset"]), max_size=30))
def test_whatever_happens_on_the_way_each_outcome_makes_one_revision(steps: list[str]) -> None:
    bench = Bench()
    for step in steps:
        match step:
            case "run":
                bench.run()
            case "take":
                bench.take()
            case "tick":
                bench.tick(0.2)
            case "kill":
                bench.kill()
                bench.start()
            case "reset":
                bench.kill()
                bench.broker.group(SETTINGS.group_id).committed.clear()
                bench.start()
            case "abort":
                bench.consumer.faults += 1
            case event_id:
                bench.answer(event_id, EVENTS.index(event_id) % PARTITIONS)
    bench.consumer.faults = 0
    bench.now_s += LONGEST_BACKOFF_S
    bench.run()
    revisions = {event: [number for found, number in bench.later() if found == event] for event in EVENTS}
    assert revisions == {event: list(range(1, steps.count(event) + 1)) for event in EVENTS}


def test_two_outcomes_of_an_event_are_two_revisions(bench: Bench) -> None:
    bench.answer("a")
    bench.answer("b")
    bench.answer("a", decision="flag_high_risk")
    bench.run()
    assert bench.later() == [("a", 1), ("b", 1), ("a", 2)]
    assert bench.broker.committed("reviews")[TopicPartition(TOPICS.source.topic, 0)] == 3
    assert not bench.worker.busy()
    assert bench.count("outcomes_joined_total", action="override") == 3
    assert bench.count("review_answer_seconds_sum") == 3 * 5_400


def test_revisions_go_on_after_a_restart(bench: Bench) -> None:
    bench.answer("a")
    bench.run()
    bench.kill()
    bench.start()
    bench.answer("a")
    bench.answer("b")
    bench.run()
    assert bench.later() == [("a", 1), ("a", 2), ("b", 1)]


def test_what_was_joined_and_not_committed_is_joined_once_after_a_kill(bench: Bench) -> None:
    bench.run()
    bench.answer("a")
    bench.answer("a")
    bench.take()
    bench.worker._outbox.stream()
    assert bench.later() == []
    bench.kill()
    bench.start()
    bench.run()
    assert bench.later() == [("a", 1), ("a", 2)]


def test_offsets_that_were_reset_join_nothing_again(bench: Bench) -> None:
    for event_id in ("a", "b", "a"):
        bench.answer(event_id)
    bench.run()
    bench.kill()
    bench.broker.group("reviews").committed.clear()
    bench.start()
    bench.run()
    bench.answer("b")
    bench.run()
    assert bench.later() == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert bench.count("outcomes_repeated_total") == 3
    assert bench.broker.committed("reviews")[TopicPartition(TOPICS.source.topic, 0)] == 4


def test_a_reviewed_record_that_has_a_revision_already_is_followed_by_the_next(bench: Bench) -> None:
    value = {**OVERRIDE, "agent_metadata": OVERRIDE["agent_metadata"] | {"revision": 4}}
    bench.send(bench.encoder.encode(value))
    bench.run()
    assert [revision for _, revision in bench.later()] == [5]


def test_what_cannot_be_joined_goes_to_the_dead_letters_and_the_partition_goes_on(bench: Bench) -> None:
    bench.answer("a")
    bench.send(b"nonsense")
    bench.send(None)
    bench.answer("b", reviewer="")
    bench.answer("b", action="approve")
    bench.answer("b", decision="alow")
    bench.answer("b")
    bench.run()
    assert bench.later() == [("a", 1), ("b", 1)]
    letters = bench.letters()
    assert [(letter["cause"], letter["rule"]) for letter in letters] == [
        ("bad_magic", None),
        ("tombstone", None),
        ("contract_violation", "reviewer_present"),
        ("contract_violation", "approval_keeps_decision"),
        ("contract_violation", "decision_known"),
    ]
    assert [letter["source_offset"] for letter in letters] == [1, 2, 3, 4, 5]
    assert letters[0]["value"] == b"nonsense"
    assert {letter["service"] for letter in letters} == {"reviews"}
    assert bench.count("dead_letters_total", cause="contract_violation") == 3


def test_outcomes_wait_for_a_registry_that_is_away_and_none_is_lost(bench: Bench) -> None:
    bench.registry.away = True
    bench.answer("a")
    bench.answer("b", 1)
    bench.run()
    assert bench.later() == []
    assert bench.worker.busy()
    bench.registry.away = False
    bench.run()
    assert Counter(bench.later()) == Counter([("a", 1), ("b", 1)])


def test_a_transaction_that_is_aborted_is_repeated_whole(bench: Bench) -> None:
    bench.run()
    bench.answer("a")
    bench.take()
    bench.consumer.faults = 1
    bench.tick()
    assert bench.count("transactions_aborted_total") == 1
    assert bench.worker.busy()
    bench.run()
    assert bench.later() == [("a", 1)]


def test_a_full_backlog_pauses_consumption(bench: Bench) -> None:
    bench.run()
    bench.worker._max_backlog = 2
    for event_id in ("a", "b"):
        bench.answer(event_id)
    bench.take()
    assert bench.worker.congested()
    bench.tick()
    assert not bench.worker.congested()


def test_a_partition_that_is_lost_takes_its_outcomes_along(bench: Bench) -> None:
    bench.run()
    bench.answer("a")
    bench.answer("b", 1)
    bench.take()
    bench.worker.lose([TopicPartition(TOPICS.source.topic, 0)])
    bench.tick()
    assert bench.later() == [("b", 1)]
    assert TopicPartition(TOPICS.source.topic, 0) not in bench.broker.committed("reviews")


def test_a_revoked_partition_is_committed_first(bench: Bench) -> None:
    bench.run()
    bench.answer("a")
    bench.take()
    bench.worker.revoke([TopicPartition(TOPICS.source.topic, 0)])
    assert bench.later() == [("a", 1)]
    assert not bench.worker.busy()


def test_it_is_not_ready_while_an_outcome_waits_too_long(bench: Bench) -> None:
    bench.run()
    bench.registry.away = True
    bench.answer("a")
    bench.take()
    bench.tick(0.0)
    bench.tick(30.0)
    assert bench.worker.why_not_ready() is None
    bench.tick(1.0)
    assert "has waited 31 s" in (bench.worker.why_not_ready() or "")
    bench.registry.away = False
    bench.run()
    assert bench.worker.why_not_ready() is None
    assert bench.later() == [("a", 1)]


def test_a_revision_that_cannot_be_read_stops_the_service_with_a_way_out(bench: Bench) -> None:
    bench.broker.append(OutgoingRecord(TOPICS.revisions.topic, b"reviews/a", b"\x00nonsense", partition=0))
    bench.answer("a")
    with pytest.raises(ConfigurationError, match="Register the schema of the revisions topic again"):
        bench.run()


def infos(**partitions: int) -> dict[str, TopicInfo]:
    named = {name.replace("_", "-"): count for name, count in partitions.items()}
    return {topic: TopicInfo("id", named.get(topic, 4), 1, {}) for topic in CONTRACTS.topics}


def test_topics_are_checked_before_the_start() -> None:
    TOPICS.check(infos())
    with pytest.raises(ConfigurationError, match="add partitions to review-revisions"):
        TOPICS.check(infos(review_revisions=3))
    there = infos()
    del there["review-outcomes.dlq"]
    with pytest.raises(ConfigurationError, match=r"No topic review-outcomes\.dlq: run `headgate topics apply`"):
        TOPICS.check(there)


def test_a_contract_that_says_too_little_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match="names no dead_letters topic or no event_id"):
        Topics.of(SETTINGS.model_copy(update={"topic": "decision-reviews"}), CONTRACTS)
    with pytest.raises(ConfigurationError, match="no topic 'nothing'"):
        Topics.of(SETTINGS.model_copy(update={"topic": "nothing"}), CONTRACTS)


def test_a_record_is_never_read_before_its_partition_has_its_place(bench: Bench) -> None:
    bench.answer("a")
    bench.consumer.poll(0, 0)
    bench.worker.process(bench.broker.records(TOPICS.source.topic))
    bench.run()
    assert bench.later() == [("a", 1)]
