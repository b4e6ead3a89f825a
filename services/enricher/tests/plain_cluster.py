"""A cluster in memory with dispatchers on it, as far as exactly-once goes; everything around them is as plain as can be."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from headgate_enricher.dispatcher import Dispatcher
from headgate_enricher.forgetting import Forgetting
from headgate_enricher.gateway.spending import Spent
from headgate_enricher.intake import Intake, RoutedIntake
from headgate_enricher.limits import Limits
from headgate_enricher.metrics import EnricherMetrics
from headgate_enricher.progress import Mark
from headgate_enricher.routing import Decider, Routing
from headgate_enricher.work import Answer
from headgate_runtime.errors import UnavailableError, UndecodableError
from headgate_runtime.metrics import Metrics
from headgate_runtime.outbox import Outbox
from headgate_runtime.records import EARLIEST, OutgoingRecord, Record, TopicPartition
from headgate_runtime.state import StateStore
from headgate_schemas.agent import Decision, Event, GreyCase, Memory

from .deciders import judge_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headgate_enricher.enrichment import Enrichment
    from headgate_enricher.progress_log import ProgressLog
    from headgate_enricher.work import Work
    from headgate_runtime.deadletters import DeadLetters

SOURCES = tuple(TopicPartition("in", number) for number in range(4))
FIRST_S = ("fast", "raises", "fallback_raises", "forgettable", "slow_triage")
SECOND_S = ("grey",)
KINDS = (*FIRST_S, "fast", *SECOND_S * 3, "poison", "nobody_s")
REFUSED = {"poison", "nobody_s", "raises", "fallback_raises", "forgettable"}
# What an agent's memory fails on; an event that another agent decides on comes to no harm.
FORGETTABLE = {"first": {"forgettable"}, "second": {"forgettable", "slow_triage"}}
INSTANCES = 2
MEMORY_CAPACITY = 2  # of the four partitions' keys most have to wait on disk


@dataclass
class Cluster:
    """The broker as far as exactly-once goes: input logs with gaps, and what is committed."""

    logs: dict[TopicPartition, list[Record]] = field(default_factory=lambda: {source: [] for source in SOURCES})
    outputs: list[tuple[TopicPartition, int, bytes | None, str]] = field(default_factory=list)
    marks: dict[TopicPartition, Mark] = field(default_factory=dict)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    changelog: list[Record] = field(default_factory=list)
    failing_commits: int = 0
    failing_loads: int = 0

    def append(self, source: TopicPartition, key: bytes | None, kind: str, gap: int) -> None:
        log = self.logs[source]
        offset = (log[-1].offset + 1 if log else 0) + gap
        log.append(Record(source.topic, source.partition, offset, 0, key, kind.encode()))

    def remember(self, record: OutgoingRecord) -> None:
        assert record.partition is not None
        number = len(self.changelog)
        self.changelog.append(Record("memory", record.partition, number, 0, record.key, record.value))

    def replay(self, starts: Mapping[TopicPartition, int], take: Callable[[Record], None]) -> None:
        for record in self.changelog:
            if record.source in starts:
                take(record)

    def remembered(self) -> dict[tuple[int, bytes], list[str]]:
        """The last memory of each partition and key in the changelog."""
        return {(r.partition, r.key or b""): json.loads(r.value or b"null") for r in self.changelog}

    def recomputed(self) -> dict[tuple[int, bytes], list[str]]:
        """What should be remembered: the kinds of the events an agent was asked about, by agent and key, in order."""
        done = {(source, offset) for source, offset, _, _ in self.outputs}
        memories: dict[tuple[int, bytes], list[str]] = {}
        for source, log in self.logs.items():
            for record in log:
                kind = (record.value or b"").decode()
                if record.key is None or (source, record.offset) not in done or kind in {"poison", "nobody_s"}:
                    continue
                for agent in (name for name, forgets in FORGETTABLE.items() if kind not in forgets):
                    memories.setdefault((source.partition, f"{agent}/".encode() + record.key), []).append(kind)
        return memories


@dataclass
class MemoryTransactions:
    cluster: Cluster
    sent: list[OutgoingRecord] | None = None

    def begin(self) -> None:
        assert self.sent is None, "a transaction is open already"
        self.sent = []

    def send(self, record: OutgoingRecord) -> None:
        assert self.sent is not None
        self.sent.append(record)

    def commit(self, offsets: Mapping[TopicPartition, int], group: object) -> None:
        assert self.sent is not None
        assert group == "member"
        if self.cluster.failing_commits:
            self.cluster.failing_commits -= 1
            raise UnavailableError("the coordinator does not answer")
        for record in self.sent:
            if record.topic == "memory":
                self.cluster.remember(record)
                continue
            source, offset, outcome = json.loads(record.value or b"")
            if record.topic == "progress":
                self.cluster.marks[TopicPartition(*source)] = Mark(offset, bytes.fromhex(outcome))
            else:
                self.cluster.outputs.append((TopicPartition(*source), offset, record.key, record.topic))
        self.cluster.offsets.update(offsets)
        self.sent = None

    def abort(self) -> None:
        self.sent = None

    def close(self) -> None:
        pass


def is_refused(record: Record) -> bool:
    kind = (record.value or b"").decode()
    return kind in REFUSED and (kind != "forgettable" or record.key is not None)


def output(topic: str, record: Record) -> OutgoingRecord:
    return OutgoingRecord(topic, record.key, json.dumps([record.source, record.offset, ""]).encode())


class PlainEnrichment:
    def build(self, work: Work, decision: Decision, spent: Spent, *, now_ms: int) -> OutgoingRecord:
        record, event = work.record, work.event
        assert event["kind"] == (record.value or b"").decode()
        assert decision
        assert now_ms >= 0
        assert not (spent.model_id and event["kind"] == "fast")
        return output("out", record)


class PlainDeadLetters:
    def record(self, source: Record, **cause: Any) -> OutgoingRecord:
        assert cause["cause"] == {b"poison": "undecodable", b"nobody_s": "no_agent"}.get(source.value, "agent_error")
        return output("dlq", source)


@dataclass
class PlainProgressLog:
    cluster: Cluster

    def load(self, partitions: Sequence[TopicPartition], _: object) -> dict[TopicPartition, Mark]:
        if self.cluster.failing_loads:
            self.cluster.failing_loads -= 1
            raise UnavailableError("a transaction is open")
        return {source: self.cluster.marks[source] for source in partitions if source in self.cluster.marks}

    def record(self, source: TopicPartition, mark: Mark) -> OutgoingRecord:
        return OutgoingRecord("progress", b"", json.dumps([source, mark.watermark, mark.done.hex()]).encode())


class PlainResults:
    """Holds the dispatcher to asking about no partition but its own."""

    def __init__(self) -> None:
        self.sources: set[TopicPartition] = set()

    def restore(self, partitions: Mapping[TopicPartition, object]) -> None:
        assert not self.sources & partitions.keys()
        self.sources |= partitions.keys()

    def answers_from(self, source: TopicPartition) -> int:
        assert source in self.sources
        return 0

    def release(self, partitions: Iterable[TopicPartition]) -> None:
        self.sources -= set(partitions)

    def close(self) -> None:
        self.sources.clear()


class PlainDecoder:
    def decode(self, value: bytes | None) -> dict[str, Any]:
        kind = (value or b"").decode()
        if kind == "poison":
            raise UndecodableError("undecodable", "poison")
        return {"kind": kind}


def decision(tier: str) -> Decision:
    return Decision("allow", "", 0.0, "low", 1.0, cast("Any", tier))


class PlainCodec:
    def dump(self, state: Memory) -> bytes:
        return json.dumps(state["kinds"]).encode()

    def load(self, value: bytes) -> Memory:
        return {"kinds": json.loads(value)}


class PlainAgent:
    version = "1"

    def __init__(self, clock: list[float], name: str, decides: Sequence[str]) -> None:
        self.clock = clock
        self.name = name
        self.decides = decides

    def remember(self, memory: Memory | None, event: Event) -> Memory | None:
        if event["kind"] in FORGETTABLE[self.name]:
            raise LookupError("forgettable")
        return {"kinds": [*(memory["kinds"] if memory else []), event["kind"]]}

    def triage(self, events: Sequence[Event], memories: Sequence[Memory | None]) -> Sequence[Decision | GreyCase]:
        assert len(memories) == len(events)
        assert {event["kind"] for event in events} <= set(self.decides)
        if any(event["kind"] == "slow_triage" for event in events):
            self.clock[0] += 6.0
        if any(event["kind"] == "raises" for event in events):
            raise KeyError("raises")
        return [
            decision("rules") if event["kind"] == "fast" else GreyCase(event, {}, decision("rules")) for event in events
        ]

    async def deliberate(self, case: GreyCase) -> Decision:
        raise NotImplementedError

    def fall_back(self, case: GreyCase, reason: str) -> Decision:
        assert case.event["kind"] in self.decides
        if case.event["kind"] == "fallback_raises":
            raise ValueError(reason)
        return decision("fallback")


@dataclass
class MemoryModel:
    asked: list[Work] = field(default_factory=list)
    answers: list[tuple[Work, Answer]] = field(default_factory=list)

    def submit(self, work: Work, case: GreyCase) -> None:
        assert case.event is work.event
        self.asked.append(work)

    def cancel(self, works: Iterable[Work]) -> None:
        # As on the real thread, an answer that is there already may still come.
        gone = set(works)
        self.asked = [work for work in self.asked if work not in gone]

    def collect(self) -> list[tuple[Work, Answer]]:
        answers, self.answers = self.answers, []
        return answers

    def close(self) -> None:
        self.asked.clear()

    def answer(self, index: int, *, decided: bool) -> None:
        work = self.asked.pop(index % len(self.asked))
        decided = decided and work.event["kind"] != "fallback_raises"
        found = decision("model") if decided else None
        self.answers.append((work, Answer(found, None if decided else "throttled", 0.5, Spent("model"))))


class Member:
    """A consumer group member with its dispatcher."""

    def __init__(self, cluster: Cluster, clock: list[float]) -> None:
        self.cluster = cluster
        self.positions: dict[TopicPartition, int] = {}
        self.model = MemoryModel()
        first = Decider(PlainAgent(clock, "first", FIRST_S), 0)
        second = Decider(PlainAgent(clock, "second", SECOND_S), 1)
        routing = Routing(dict.fromkeys(FIRST_S, first) | dict.fromkeys(SECOND_S, second), "kind")
        self.dispatcher = Dispatcher(
            consumer=cast("Any", self),
            intake=RoutedIntake(Intake(PlainDecoder(), lambda _: None), routing),
            judge=judge_of(routing),
            model=self.model,
            enrichment=cast("Enrichment", PlainEnrichment()),
            dead_letters=cast("DeadLetters", PlainDeadLetters()),
            outbox=Outbox(MemoryTransactions(cluster), lambda: clock[0]),
            progress_log=cast("ProgressLog", PlainProgressLog(cluster)),
            results=cast("Any", PlainResults()),
            memories=StateStore(
                topic="memory",
                codecs=dict.fromkeys(FORGETTABLE, PlainCodec()),
                read=cluster.replay,
                capacity=MEMORY_CAPACITY,
            ),
            forgetting=Forgetting(),
            limits=Limits(triage_batch=3, max_at_model=2),
            metrics=EnricherMetrics(Metrics()),
            clock=lambda: clock[0],
        )

    def group_metadata(self) -> object:
        return "member"

    def begin_offsets(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(sources, 0)

    def seek(self, source: TopicPartition, offset: int) -> None:
        self.positions[source] = offset

    def assign(self, sources: Sequence[TopicPartition]) -> None:
        assert self.dispatcher.assign(sources) == dict.fromkeys(sources, EARLIEST)
        self.positions |= dict.fromkeys(sources, 0)
        for source in sources:
            # The client may hand out what it fetched before the dispatcher has found the partition's place.
            self.dispatcher.process(self.cluster.logs[source][:3])

    def poll(self, most: int) -> None:
        if self.dispatcher.congested():
            return
        for source, position in list(self.positions.items()):
            records = [record for record in self.cluster.logs[source] if record.offset >= position][:most]
            if records:
                self.positions[source] = records[-1].offset + 1
                self.dispatcher.process(records)

    def release(self, source: TopicPartition, *, lost: bool) -> None:
        (self.dispatcher.lose if lost else self.dispatcher.revoke)([source])
        del self.positions[source]
