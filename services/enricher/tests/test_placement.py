"""A new owner whose broker does not say yet where the last one left off: it waits, and takes nothing up before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from headgate_enricher.dispatcher import Dispatcher
from headgate_enricher.forgetting import Forgetting
from headgate_enricher.intake import Intake, RoutedIntake
from headgate_enricher.limits import Limits
from headgate_enricher.metrics import EnricherMetrics
from headgate_enricher.progress import Mark, encode_done
from headgate_enricher.progress_log import ProgressLog
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import UnavailableError
from headgate_runtime.metrics import Metrics
from headgate_runtime.outbox import Outbox
from headgate_runtime.placement import LONGEST_BACKOFF_S
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_runtime.state import StateStore
from headgate_runtime.testing import MemoryBroker, MemoryConsumer, MemoryRegistry
from headgate_runtime.testing.producer import MemoryTransactionalProducer
from headgate_schemas import Contracts
from headgate_schemas.agent import Decision, Event, Memory

from .deciders import judge_of, sole

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from headgate_enricher.work import Work

CONTRACTS = Contracts.load()
CONTRACT = CONTRACTS.topic("enricher-progress")
RECORD = CONTRACTS.record(CONTRACT.record)
GROUP = "group"
SOURCES = (TopicPartition("in", 0), TopicPartition("in", 1))
RULES = Decision("allow", "", 0.0, "low", 1.0, "rules")
DONE_AHEAD = 0b10  # of the second record above the watermark


class SlowConsumer(MemoryConsumer):
    """Its broker does not tell committed offsets while ``committed_away``."""

    committed_away = False
    asked = 0

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked += 1
        if self.committed_away:
            raise UnavailableError("the last owner's transaction is open")
        return super().committed(partitions)


class Replica:
    """A dispatcher over memory clients, driven as the loop drives it; its agent decides everything by itself."""

    name = "replica"
    version = "1"

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.now_s = 0.0
        self.read_away = self.memory_away = False
        self.triaged: list[bytes] = []
        registry = MemoryRegistry()
        registry.register(CONTRACT.subject, RECORD.text)
        self.progress_log = ProgressLog(
            topic=CONTRACT.topic,
            group=GROUP,
            encoder=Encoder(registry, CONTRACT.subject, RECORD),
            decoder=Decoder(registry, RECORD),
            read=self.read,
        )
        self.consumer = SlowConsumer(broker, GROUP)
        routing = sole(cast("Any", self))
        self.dispatcher = Dispatcher(
            consumer=self.consumer,
            intake=RoutedIntake(Intake(self, lambda _: None), routing),
            judge=judge_of(routing),
            model=cast("Any", self),
            enrichment=cast("Any", self),
            dead_letters=cast("Any", None),
            outbox=Outbox(MemoryTransactionalProducer(broker, "t"), lambda: self.now_s),
            progress_log=self.progress_log,
            results=cast("Any", self),
            memories=StateStore(
                topic="memory", codecs={"group": cast("Any", self)}, read=self.read_memory, capacity=10
            ),
            forgetting=Forgetting(),
            limits=Limits(commit_interval_s=0.0),
            metrics=EnricherMetrics(Metrics()),
            clock=lambda: self.now_s,
        )
        self.consumer.subscribe(
            ["in"],
            on_assign=self.dispatcher.assign,
            on_revoke=self.dispatcher.revoke,
            on_lost=self.dispatcher.lose,
        )

    def read(self, topic: str, partitions: Collection[int]) -> dict[tuple[int, bytes], Record]:
        if self.read_away:
            raise UnavailableError("did not reach the end")
        return self.broker.read_compacted(topic, partitions)

    def read_memory(self, *_: object) -> None:
        if self.memory_away:
            raise UnavailableError("did not reach the end")

    def restore(self, partitions: Collection[TopicPartition]) -> None:
        assert set(partitions) <= set(SOURCES)

    def release(self, partitions: Collection[TopicPartition]) -> None:
        assert set(partitions) <= set(SOURCES)

    def answers_from(self, source: TopicPartition) -> int:
        assert source in SOURCES
        return 0

    def dump(self, state: Memory) -> bytes:
        raise AssertionError(state)

    def remember(self, memory: Memory | None, event: Event) -> Memory | None:
        assert memory is None
        assert event
        return None

    def decode(self, value: bytes | None) -> dict[str, Any]:
        return {"value": value}

    def triage(self, events: Sequence[Event], _: object) -> Sequence[Decision]:
        self.triaged += [event["value"] for event in events]
        return [RULES] * len(events)

    def build(self, work: Work, *_: object, **__: object) -> OutgoingRecord:
        return OutgoingRecord("out", work.record.key, work.record.value)

    def cost_microdollars(self, _: Decision) -> int:
        return 0

    def collect(self) -> list[Any]:
        return []

    def cancel(self, _: object) -> None:
        pass

    def iterate(self, seconds: float = 0.0) -> None:
        """One iteration of the loop; nothing is consumed while the dispatcher is congested."""
        self.now_s += seconds
        if self.dispatcher.congested():
            self.consumer.pause(self.consumer.assignment())
        else:
            self.consumer.resume(self.consumer.assignment())
        self.dispatcher.process(self.consumer.poll(100, 0))
        self.dispatcher.tick(draining=False)

    def outputs(self) -> list[bytes]:
        return sorted(record.value or b"" for record in self.broker.records("out"))


@pytest.fixture
def broker() -> MemoryBroker:
    """Two partitions of four records; of the first, the first and the third record are done."""
    broker = MemoryBroker()
    broker.create_topic("in", 2)
    broker.create_topic("out")
    broker.create_topic(CONTRACT.topic, 2)
    for source in SOURCES:
        for number in range(4):
            value = b"%d/%d" % (source.partition, number)
            broker.append(OutgoingRecord("in", b"k", value, partition=source.partition))
    earlier = Replica(broker)
    broker.append(earlier.progress_log.record(SOURCES[0], Mark(1, encode_done(DONE_AHEAD))))
    broker.group(GROUP).committed[SOURCES[0]] = 1
    return broker


LEFT = [b"0/1", b"0/3", b"1/0", b"1/1", b"1/2", b"1/3"]


@pytest.mark.parametrize("silent", ["committed", "read", "memory"])
def test_nothing_is_taken_up_before_the_place_is_known_and_nothing_is_lost_or_doubled(
    broker: MemoryBroker, silent: str
) -> None:
    replica = Replica(broker)
    replica.consumer.committed_away = silent == "committed"
    replica.read_away = silent == "read"
    replica.memory_away = silent == "memory"
    for _ in range(10):
        replica.iterate(LONGEST_BACKOFF_S)
        assert replica.dispatcher.congested()
        assert not replica.dispatcher.busy()
    assert replica.triaged == []
    assert broker.committed(GROUP) == {SOURCES[0]: 1}
    replica.consumer.committed_away = replica.read_away = replica.memory_away = False
    for _ in range(3):
        replica.iterate(LONGEST_BACKOFF_S)
    assert not replica.dispatcher.congested()
    assert replica.outputs() == LEFT
    assert broker.committed(GROUP) == dict.fromkeys(SOURCES, 4)


def test_the_assignment_asks_the_broker_nothing(broker: MemoryBroker) -> None:
    replica = Replica(broker)
    replica.consumer.poll(100, 0)
    assert replica.consumer.asked == 0
    assert replica.dispatcher.congested()


def test_tries_are_spaced_out(broker: MemoryBroker) -> None:
    replica = Replica(broker)
    replica.consumer.committed_away = True
    for _ in range(1200):
        replica.iterate(0.05)
    assert 10 <= replica.consumer.asked <= 20


def test_a_partition_that_leaves_while_it_waits_is_forgotten(broker: MemoryBroker) -> None:
    replica = Replica(broker)
    replica.consumer.committed_away = True
    replica.iterate()
    replica.dispatcher.revoke([SOURCES[0]])
    assert replica.dispatcher.congested()
    replica.dispatcher.lose([SOURCES[1]])
    assert not replica.dispatcher.congested()
    assert broker.committed(GROUP) == {SOURCES[0]: 1}


def test_a_partition_without_progress_starts_at_the_first_record_of_its_log(broker: MemoryBroker) -> None:
    replica = Replica(broker)
    replica.iterate()
    assert replica.consumer.position(SOURCES[1]) == 0
    assert replica.consumer.position(SOURCES[0]) == 1


def test_a_partition_that_waits_too_long_makes_the_service_not_ready(broker: MemoryBroker) -> None:
    replica = Replica(broker)
    replica.consumer.committed_away = True
    replica.iterate()
    replica.iterate(30.0)
    assert replica.dispatcher.why_not_ready() is None
    replica.iterate(1.0)
    assert "has waited 31 s" in (replica.dispatcher.why_not_ready() or "")
    replica.consumer.committed_away = False
    for _ in range(3):
        replica.iterate(LONGEST_BACKOFF_S)
    assert replica.dispatcher.why_not_ready() is None
