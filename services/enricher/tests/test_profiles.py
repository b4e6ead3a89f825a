"""Profiles: bounded, only of assigned partitions, at hand for the model alone, and never waited for."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from headgate_enricher.config import Settings
from headgate_enricher.deliberation import Deliberation, Origin
from headgate_enricher.profiles import following
from headgate_enricher.profiles.following import Profiles
from headgate_enricher.profiles.metrics import ProfileMetrics
from headgate_enricher.profiles.model import ProfiledModel
from headgate_enricher.topics import check_profiles, find_topics
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import ConfigurationError, UnavailableError
from headgate_runtime.kafka.admin import TopicInfo
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import Record, TopicPartition
from headgate_runtime.testing import MemoryBroker, MemoryRegistry
from headgate_schemas import Contracts, compile_rules
from headgate_schemas.agent import Decision, GreyCase, Profile, Window

from . import answers_owner
from .answers_owner import Owner

if TYPE_CHECKING:
    from collections.abc import Collection

CONTRACTS = Contracts.load()
TOPIC = CONTRACTS.topic("account-profiles")
RECORD = CONTRACTS.record(TOPIC.record)
SOURCES = [TopicPartition("raw-events", number) for number in range(4)]
FLOOR = Decision("allow", "", 0.0, "low", 1.0, "rules")


class MemoryFollower:
    """A topic's log in memory; ``stuck`` never comes to its end."""

    def __init__(self) -> None:
        self.log: list[Record] = []
        self.reads: dict[int, int] = {}
        self.stuck = self.closed = False

    @property
    def behind(self) -> bool:
        return self.stuck or any(self._left())

    def add(self, numbers: Collection[int]) -> None:
        assert not self.reads.keys() & set(numbers)
        self.reads |= dict.fromkeys(numbers, 0)

    def drop(self, numbers: Collection[int]) -> None:
        for number in numbers:
            del self.reads[number]

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:  # noqa: ARG002 (Follower)
        records = self._left()[:max_records]
        for record in records:
            self.reads[record.partition] = record.offset + 1
        return records

    def close(self) -> None:
        self.closed = True

    def _left(self) -> list[Record]:
        return [record for record in self.log if record.offset >= self.reads.get(record.partition, len(self.log))]


class World:
    def __init__(self, capacity: int = 100) -> None:
        registry = MemoryRegistry()
        registry.register(TOPIC.subject, RECORD.text)
        self.encoder = Encoder(registry, TOPIC.subject, RECORD)
        self.decoder = Decoder(registry, RECORD)
        self.follower = MemoryFollower()
        self.metrics = Metrics()
        self.now_s = 0.0
        self.profiles = Profiles(
            self.follower,
            self,
            compile_rules(TOPIC),
            capacity=capacity,
            metrics=ProfileMetrics(self.metrics),
            clock=self.clock,
        )
        self.away = False
        self.decoded = 0

    def clock(self) -> float:
        self.now_s += 1.0 if self.follower.stuck else 0.0
        return self.now_s

    def decode(self, value: bytes | None) -> dict[str, Any]:
        self.decoded += 1
        if self.away:
            raise UnavailableError("the registry does not answer")
        return self.decoder.decode(value)

    def tell(self, number: int, account: str, events: int, window: str = "account_activity_1h") -> None:
        value = self.encoder.encode(
            {
                "account": account,
                "window": window,
                "definition": "0" * 12,
                "window_kind": "hopping",
                "window_start": 1_000,
                "window_end": 3_601_000,
                "events": events,
                "counts": {"payments": events},
                "sums": {"amount.EUR": (12_345).to_bytes(2)},
                "values": {},
                "capped": [],
                "closed_at": 3_700_000,
            }
        )
        self.put(number, f"{window}/{account}", value)

    def put(self, number: int, key: str, value: bytes | None) -> None:
        self.follower.log.append(Record(TOPIC.topic, number, len(self.follower.log), 5_000, key.encode(), value))

    def events(self, number: int, account: str) -> int | None:
        profile = self.profiles.of(SOURCES[number], account.encode())
        return profile["account_activity_1h"].events if profile else None

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"headgate_{name}", labels)


@pytest.fixture
def world() -> World:
    return World()


def test_what_was_told_before_the_assignment_is_at_hand_after_it_and_what_is_told_later_replaces_it(
    world: World,
) -> None:
    world.tell(1, "a/b", 3)
    world.tell(1, "a/b", 7, "account_activity_24h")
    world.profiles.assign(SOURCES[:2])
    profile = world.profiles.of(SOURCES[1], b"a/b")
    assert profile is not None
    assert {name: window.events for name, window in profile.items()} == {
        "account_activity_1h": 3,
        "account_activity_24h": 7,
    }
    hour = profile["account_activity_1h"]
    assert (hour.start_ms, hour.end_ms, hour.counts, hour.sums) == (
        1_000,
        3_601_000,
        {"payments": 3},
        {"amount.EUR": 1.2345},
    )
    world.tell(1, "a/b", 4)
    world.profiles.follow()
    assert world.events(1, "a/b") == 4
    assert world.sample("profiles_held") == 1
    assert world.sample("profiles_newest_timestamp_seconds") == 5


def test_a_key_nothing_was_told_of_or_whose_windows_are_deleted_has_no_profile(world: World) -> None:
    world.tell(0, "a", 1)
    world.put(0, "account_activity_1h/a", None)
    world.profiles.assign(SOURCES[:1])
    assert world.profiles.of(SOURCES[0], b"a") is None
    assert world.profiles.of(SOURCES[0], None) is None
    assert world.sample("profiles_held") == 0
    assert world.sample("profiles_looked_up_total", outcome="absent") == 2


def test_partitions_that_go_are_forgotten_and_read_again_when_they_come_back(world: World) -> None:
    for number in (0, 1):
        world.tell(number, "a", number + 1)
    world.profiles.assign(SOURCES[:2])
    world.profiles.drop(SOURCES)
    assert (world.events(0, "a"), world.events(1, "a"), world.follower.reads) == (None, None, {})
    assert world.sample("profiles_held") == 0
    world.tell(1, "a", 9)
    world.profiles.assign([SOURCES[1]])
    assert (world.events(0, "a"), world.events(1, "a")) == (None, 9)


def test_beyond_the_capacity_the_keys_go_that_nothing_was_told_of_for_longest() -> None:
    world = World(capacity=4)
    world.profiles.assign(SOURCES[:2])
    for account in ("a", "b", "a", "c"):
        world.tell(0, account, 1)
    world.tell(1, "d", 1)
    world.profiles.follow()
    held = [world.events(0, account) for account in ("a", "b", "c")]
    assert (held, world.events(1, "d")) == ([1, None, 1], 1)
    world.profiles.assign(SOURCES[2:])
    assert [world.events(0, account) for account in ("a", "c")] == [None, 1]


def test_a_partition_whose_end_does_not_come_keeps_nobody_waiting_for_long(world: World) -> None:
    world.tell(0, "a", 1)
    world.follower.stuck = True
    world.profiles.assign(SOURCES[:1])
    assert world.now_s <= following.RESTORE_S + 3
    assert world.events(0, "a") == 1


def test_what_cannot_be_read_is_absent_and_a_registry_that_is_away_is_not_asked_for_each_event(world: World) -> None:
    world.tell(0, "a", 1)
    world.put(0, "account_activity_1h/b", b"none")
    world.profiles.assign(SOURCES[:1])
    world.tell(0, "c", 0)  # the topic's rules want an event in each window
    world.profiles.follow()
    assert (world.events(0, "b"), world.events(0, "c"), world.events(0, "a")) == (None, None, 1)
    world.away, world.decoded = True, 0
    assert (world.events(0, "a"), world.events(0, "a"), world.decoded) == (None, None, 1)
    world.away, world.now_s = False, world.now_s + following.RESUME_S
    assert world.events(0, "a") == 1
    assert world.sample("profiles_looked_up_total", outcome="unreadable") == 3


def test_only_an_event_that_goes_to_the_model_has_its_profile_looked_up(world: World) -> None:
    asked: list[GreyCase] = []
    model = SimpleNamespace(submit=lambda _, case: asked.append(case), collect=list, close=lambda: None)
    profiled = ProfiledModel(cast("Any", model), world.profiles)
    world.profiles.assign(SOURCES[:1])
    world.tell(0, "a", 1)
    assert profiled.collect() == []
    assert world.decoded == 0
    for key in (b"a", b"b"):
        work = SimpleNamespace(partition=SimpleNamespace(source=SOURCES[0]), record=SimpleNamespace(key=key))
        profiled.submit(cast("Any", work), GreyCase({}, {}, FLOOR, {"n": 1}))
    assert [case.profile and list(case.profile) for case in asked] == [["account_activity_1h"], None]
    assert [case.memory for case in asked] == [{"n": 1}] * 2
    profiled.close()
    assert world.follower.closed


def test_a_kept_answer_brings_back_the_profile_it_was_given_for_and_the_agent_sees_that_one_again() -> None:
    told: Profile = {"account_activity_1h": Window(1, 2, 3, {"payments": 3}, {"amount.EUR": 0.1 + 0.2})}
    broker = MemoryBroker()
    broker.create_topic(answers_owner.CONTRACT.topic, 4)
    before = Owner(broker)
    before.progress.admit(5)
    context = dataclasses.replace(answers_owner.position(5), profile=told)
    asyncio.run(before.results.store(context, 0, answers_owner.answer()))
    before.results.close()
    after = Owner(broker)
    after.progress.admit(5)
    seen: list[Profile | None] = []

    async def deliberate(case: GreyCase) -> Decision:
        seen.append(case.profile)
        return FLOOR

    deliberation = Deliberation(
        tenant=None, most=1, reason_of=lambda _: "failed", find=after.results.find, origin_of=lambda work: work.origin
    )
    newer = {"account_activity_1h": Window(7, 8, 9, {}, {})}
    for offset in (5, 6):
        agent = SimpleNamespace(name="judge", version="v1", agent=SimpleNamespace(deliberate=deliberate))
        origin = Origin(answers_owner.SOURCE, offset, "v1")
        work = SimpleNamespace(event={}, decider=agent, deadline_s=time.monotonic() + 5, origin=origin)
        asyncio.run(deliberation.ask(cast("Any", work), GreyCase({}, {}, FLOOR, profile=newer)))
    after.results.close()
    assert seen == [told, newer]


def existing(**partitions: int) -> dict[str, TopicInfo]:
    named = {name.replace("_", "-"): count for name, count in partitions.items()}
    return {topic: TopicInfo("id", named.get(topic, 4), 1, {}) for topic in CONTRACTS.topics}


@pytest.mark.parametrize(
    ("partitions", "complaint"),
    [
        ({"account_profiles": 3}, "add partitions to account-profiles, one for each of the other's, or set HEADGATE"),
        ({"enriched_events": 8}, "enriched-events has 8 partitions and raw-events has 4, so that the profiles"),
    ],
)
def test_profiles_that_are_not_where_their_events_are_stop_the_start(
    partitions: dict[str, int], complaint: str
) -> None:
    topics, decided = find_topics(Settings(), CONTRACTS), CONTRACTS.topic("enriched-events")
    check_profiles(topics, decided, existing())
    with pytest.raises(ConfigurationError, match=complaint):
        check_profiles(topics, decided, existing(**partitions))
    there = existing()
    del there["account-profiles"]
    with pytest.raises(ConfigurationError, match="No topic account-profiles: run `headgate topics apply`, or set"):
        check_profiles(topics, decided, there)


def test_profiles_can_be_switched_off_and_a_replay_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    shadow = find_topics(Settings(role="shadow"), CONTRACTS)
    check_profiles(shadow, CONTRACTS.topic("enriched-events"), existing(raw_events=2))
    assert shadow.profiles == TOPIC
    replay = Settings.model_validate({"role": "replay", "replay": {"topic": "replay-x"}})
    assert find_topics(replay, CONTRACTS).profiles is None
    monkeypatch.setenv("HEADGATE_ENRICHER_PROFILES_TOPIC", "null")
    off = find_topics(Settings(), CONTRACTS)
    assert off.profiles is None
    check_profiles(off, CONTRACTS.topic("enriched-events"), existing(enriched_events=8))
