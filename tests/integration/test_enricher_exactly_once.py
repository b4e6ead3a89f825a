"""Real enricher processes on a real broker and a model endpoint: killed, rebalanced, poisoned, and without a model."""

from __future__ import annotations

import copy
import itertools
import json
import shutil
import socket
import struct
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from headgate_local.http_ready import http_not_ready
from headgate_local.processes import ProcessSpec, ServiceProcess, stop_together
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.testing import eventually
from headgate_schemas import Contracts, field_getter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from headgate_local.fixtures import Brokers

PARTITIONS = 4
SHIPPED = ("raw-events", "enriched-events", "enricher-progress")
START_MS, END_MS = 1_760_000_000_000, 1_760_086_400_000
UNKNOWN_SCHEMA_ID = 999_999


@dataclass
class World:
    """Topics of its own with contracts and schemas, a model endpoint, and enrichers on demand."""

    name: str
    folder: Path
    brokers: Brokers
    sent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kafka = KafkaSettings(bootstrap_servers=self.brokers.bootstrap_servers)
        self.registry = ConfluentRegistry(RegistrySettings(url=self.brokers.registry_url))
        self.source, self.output, self.progress = (f"{self.name}.{topic}" for topic in SHIPPED)
        self.contracts = Contracts.load(self._copy_contracts())
        self.admin = KafkaAdmin(self.kafka)
        for topic in [name for name in self.contracts.topics if name.startswith(self.name)]:
            contract = self.contracts.topic(topic)
            self.admin.create(topic, partitions=PARTITIONS, config={"cleanup.policy": contract.cleanup_policy})
            self.registry.register(contract.subject, self.contracts.record(contract.record).text)
        contract = self.contracts.topic(self.source)
        assert contract.fields.event_id
        assert contract.fields.key
        self.id_path = contract.fields.event_id
        self.key_of = field_getter(contract.fields.key)
        self.encoder = Encoder(self.registry, contract.subject, self.contracts.record(contract.record))
        self.traffic = self._traffic()
        self.model = self._model()

    def _copy_contracts(self) -> Path:
        """Give the shipped contracts to topics that only this test has."""
        shipped, own = Contracts.load().directory, self.folder / "contracts"
        for part in ("avro", "sets"):
            shutil.copytree(shipped / part, own / part)
        (own / "topics").mkdir()
        for topic in [*SHIPPED, *(f"{topic}.dlq" for topic in SHIPPED[:2])]:
            text = (shipped / "topics" / f"{topic}.yaml").read_text("utf-8")
            for name in SHIPPED:
                text = text.replace(f": {name}", f": {self.name}.{name}")
            (own / "topics" / f"{self.name}.{topic}.yaml").write_text(text, "utf-8")
        return own

    def _traffic(self) -> Iterator[dict[str, Any]]:
        generate = entry_points(group="headgate.generators")["risk"].load()
        users = [f"user-{number}" for number in range(150)]
        for seed in itertools.count():
            for event, _ in generate(seed=seed, events=2_000, start_ms=START_MS, end_ms=END_MS, keys=users):
                yield copy.deepcopy(dict(event))

    def _model(self) -> ServiceProcess:
        port = free_port()
        self.model_url = f"http://127.0.0.1:{port}"
        return ServiceProcess(
            ProcessSpec(
                "model",
                [sys.executable, "-m", "headgate_bedrock_local"],
                self.folder / "run",
                lambda: http_not_ready(f"{self.model_url}/healthz"),
                {"HEADGATE_BEDROCK_PORT": str(port)},
            )
        )

    def enricher(self, instance: str) -> ServiceProcess:
        port = free_port()
        prefix = "HEADGATE_ENRICHER_"
        environment = {
            f"{prefix}KAFKA__BOOTSTRAP_SERVERS": self.brokers.bootstrap_servers,
            f"{prefix}REGISTRY__URL": self.brokers.registry_url,
            f"{prefix}HTTP__PORT": str(port),
            f"{prefix}INSTANCE": instance,
            f"{prefix}GROUP_ID": f"enrichers-{self.name}",
            f"{prefix}CONTRACTS_DIR": str(self.contracts.directory),
            f"{prefix}TOPIC": self.source,
            f"{prefix}OUTPUT_TOPIC": self.output,
            f"{prefix}PROGRESS_TOPIC": self.progress,
            f"{prefix}EVENT_DEADLINE_S": "20",  # a busy machine must not make fallbacks of what the model decides
            f"{prefix}BEDROCK__ENDPOINT_URL": self.model_url,
            f"{prefix}BEDROCK__ACCESS_KEY_ID": "local",
            f"{prefix}BEDROCK__SECRET_ACCESS_KEY": "local",
        }
        ready = f"http://127.0.0.1:{port}/readyz"
        command = [sys.executable, "-m", "headgate_enricher"]
        return ServiceProcess(
            ProcessSpec(instance, command, self.folder / "run", lambda: http_not_ready(ready), environment)
        )

    def faults(self, **knobs: float) -> None:
        httpx.put(f"{self.model_url}/admin/faults", json=knobs).raise_for_status()

    def model_calls(self) -> int:
        return int(httpx.get(f"{self.model_url}/admin/stats").raise_for_status().json()["calls"])

    def outgoing(self, event: dict[str, Any]) -> OutgoingRecord:
        parents, _, leaf = self.id_path.rpartition(".")
        event_id = f"event-{len(self.sent)}"
        (field_getter(parents)(event) if parents else event)[leaf] = event_id
        self.sent.append(event_id)
        return OutgoingRecord(self.source, self.key_of(event).encode(), self.encoder.encode(event))

    def produce(self, count: int) -> None:
        producer = KafkaProducer(self.kafka)
        for event in itertools.islice(self.traffic, count):
            producer.send(self.outgoing(event))
        assert producer.flush(30) == 0

    def produce_in_transactions(self, transactions: int, size: int) -> None:
        """Send events in transactions, every third of which is aborted and sent again, so that offsets have gaps."""
        producer = KafkaTransactionalProducer(self.kafka, transactional_id=self.name)
        for number in range(transactions):
            records = [self.outgoing(event) for event in itertools.islice(self.traffic, size)]
            for abort in [True, False] if number % 3 == 0 else [False]:
                producer.begin()
                for record in records:
                    producer.send(record)
                if abort:
                    producer.abort()
                else:
                    producer.commit({}, None)
        producer.close()

    def written(self) -> int:
        """Sum of the output topic's high watermarks, open transactions included."""
        return sum(self.admin.high_watermarks(partitions_of(self.output)).values())

    def read(self, topic: str) -> list[Record]:
        """Every committed record of a topic, in order per partition."""
        consumer = KafkaConsumer(self.kafka, group_id=f"reader-{self.name}-{topic}-{len(self.sent)}")
        partitions = partitions_of(topic)
        records: list[Record] = []
        consumer.subscribe(
            [topic],
            on_assign=lambda assigned: dict(consumer.begin_offsets(assigned)),
            on_revoke=lambda _: None,
            on_lost=lambda _: None,
        )

        def at_end() -> bool:
            records.extend(consumer.poll(5_000, 0.2))
            ends = consumer.end_offsets(partitions)
            return len(consumer.assignment()) == PARTITIONS and all(
                (consumer.position(partition) or 0) >= end for partition, end in ends.items()
            )

        eventually(at_end, 30)
        consumer.close()
        return records

    def decided(self) -> list[dict[str, Any]]:
        decoder = Decoder(self.registry, self.contracts.record(self.contracts.topic(self.output).record))
        return [decoder.decode(record.value) for record in self.read(self.output)]

    def committed(self) -> int:
        """Input records the group is past, as the output topic shows."""
        return len(self.read(self.output))

    def assert_exactly_once(self) -> list[dict[str, Any]]:
        """Each event is one output, and the outputs of a key are in the order of its inputs."""
        events = self.decided()
        counts = Counter(field_getter(self.id_path)(event) for event in events)
        assert set(self.sent) - set(counts) == set(), "lost"
        assert {event_id: count for event_id, count in counts.items() if count > 1} == {}, "doubled"
        assert len(counts) == len(self.sent)
        order: dict[str, list[int]] = {}
        for event in events:
            order.setdefault(self.key_of(event), []).append(event["processing_metadata"]["source_offset"])
        assert [key for key, offsets in order.items() if offsets != sorted(offsets)] == [], "out of order"
        return events


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> Iterator[World]:
    world = World(topic_name("enricher"), tmp_path, stack)
    world.model.start()
    world.model.wait_ready()
    yield world
    world.model.stop()


@contextmanager
def running(*enrichers: ServiceProcess) -> Iterator[None]:
    for enricher in enrichers:
        enricher.start()
    try:
        for enricher in enrichers:
            enricher.wait_ready()
        yield
    finally:
        stop_together(enrichers)


def test_replicas_killed_again_and_again_lose_and_double_nothing(world: World) -> None:
    world.faults(latency_ms=400, jitter=0.5)
    replicas = [world.enricher("enricher-0"), world.enricher("enricher-1")]
    with running(*replicas):
        for kill in range(5):
            before = world.written()
            world.produce_in_transactions(3, 150)
            world.produce(350)
            eventually(lambda before=before: world.written() > before + 100, 30)
            victim = replicas[kill % 2]
            victim.wait_ready()
            victim.kill9()
            assert victim.revive()
        eventually(lambda: world.written() >= len(world.sent) and world.committed() >= len(world.sent), 40)
        for replica in replicas:
            replica.wait_ready()
    assert [replica.exit_code for replica in replicas] == [0, 0]
    tiers = Counter(event["agent_metadata"]["tier"] for event in world.assert_exactly_once())
    assert tiers["rules"] > tiers["model"] > 20


def test_a_replica_that_joins_and_one_that_leaves_in_the_middle_of_calls_double_nothing(world: World) -> None:
    world.faults(latency_ms=1500)
    first, second = world.enricher("enricher-0"), world.enricher("enricher-1")
    with running(first):
        world.produce(800)
        eventually(lambda: world.model_calls() > 5, 20)
        with running(second):
            world.produce(800)
            eventually(lambda: world.written() > 800, 30)
            assert first.stop() == 0
            world.produce(400)
            eventually(lambda: world.written() >= len(world.sent) and world.committed() >= len(world.sent), 40)
    assert second.exit_code == 0
    events = world.assert_exactly_once()
    assert {event["agent_metadata"]["tier"] for event in events} == {"rules", "model"}


def test_poison_goes_to_the_dead_letters_and_the_partitions_go_on(world: World) -> None:
    good = world.encoder.encode(next(world.traffic))
    poison = {
        "bad_magic": b"\x01" + good[1:],
        "unknown_schema_id": struct.pack(">bI", 0, UNKNOWN_SCHEMA_ID) + good[5:],
        "undecodable": good[:20],
        "trailing_bytes": good + b"\x00",
        "contract_violation": contract_break(world),
    }
    producer = KafkaProducer(world.kafka)
    for number, value in zip(range(200), itertools.cycle(poison.values()), strict=False):
        for event in itertools.islice(world.traffic, 10):
            producer.send(world.outgoing(event))
        producer.send(OutgoingRecord(world.source, b"poison", value, partition=number % PARTITIONS))
    assert producer.flush(20) == 0
    with running(world.enricher("enricher-0")):
        eventually(lambda: world.written() >= len(world.sent) and world.committed() >= len(world.sent), 40)
    world.assert_exactly_once()
    letters = dead_letters(world)
    assert Counter(letter["cause"] for letter in letters) == dict.fromkeys(poison, 40)
    assert all(letter["value"] == poison[letter["cause"]] for letter in letters)
    positions = {(letter["source_partition"], letter["source_offset"]) for letter in letters}
    inputs = {(record.partition, record.offset): record.value for record in world.read(world.source)}
    assert len(positions) == 200
    assert {inputs[position] for position in positions} == set(poison.values())


def test_without_a_model_the_fallback_decides_and_the_model_takes_over_again(world: World) -> None:
    world.faults(error_rate=1)
    with running(world.enricher("enricher-0")):
        world.produce(1_500)
        eventually(lambda: world.written() >= 1_500 and world.committed() >= 1_500, 30)
        world.faults()
        world.produce(1_500)
        eventually(lambda: world.written() >= 3_000 and world.committed() >= 3_000, 30)
    events = world.assert_exactly_once()
    by_half = [
        Counter(tiers_of(events, world.sent[:1_500], world)),
        Counter(tiers_of(events, world.sent[1_500:], world)),
    ]
    assert set(by_half[0]) == {("rules", None), ("fallback", "unavailable")}
    assert set(by_half[1]) == {("rules", None), ("model", None)}
    paid = [event["agent_metadata"] for event in events if event["agent_metadata"]["tier"] == "model"]
    assert all(metadata["cost_microdollars"] > 0 and metadata["model_id"] for metadata in paid)


def tiers_of(events: Sequence[dict[str, Any]], ids: Sequence[str], world: World) -> list[tuple[str, str | None]]:
    wanted, id_of = set(ids), field_getter(world.id_path)
    metadata = [event["agent_metadata"] for event in events if id_of(event) in wanted]
    return [(each["tier"], each["fallback_reason"]) for each in metadata]


def contract_break(world: World) -> bytes:
    """Return valid Avro that breaks the first rule of the contract that names a closed set."""
    contract = world.contracts.topic(world.source)
    rule = next(rule for rule in contract.rules if rule.one_of)
    parents, _, leaf = rule.field.rpartition(".")
    event = json.loads(json.dumps(next(world.traffic)))
    (field_getter(parents)(event) if parents else event)[leaf] = "no such value"
    return world.encoder.encode(event)


def dead_letters(world: World) -> list[dict[str, Any]]:
    topic = f"{world.source}.dlq"
    decoder = Decoder(world.registry, world.contracts.record(world.contracts.topic(topic).record))
    return [decoder.decode(record.value) for record in world.read(topic)]


def partitions_of(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
