"""Real writer processes on a real broker, killed and doubled: the table holds every committed record once."""

from __future__ import annotations

import hmac
import json
import random
import secrets
import shutil
import socket
import struct
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from headgate_local.catalog import create_tables
from headgate_local.http_ready import http_not_ready
from headgate_local.processes import ProcessSpec, ServiceProcess
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.compacted import read_compacted
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.testing import eventually
from headgate_schemas import Contracts
from headgate_writer.positions import Positions, positions_of
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchTableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers
    from pyiceberg.table import Table

PARTITIONS = 4
SOURCE_TOPIC = "enriched-events"
UNKNOWN_SCHEMA_ID = 999_999


@dataclass
class World:
    """A topic of its own with contract, dead letters, schemas, catalog, and writers on demand."""

    topic: str
    folder: Path
    brokers: Brokers
    pii: dict[str, str] | None = None
    sent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kafka = KafkaSettings(bootstrap_servers=self.brokers.bootstrap_servers)
        self.registry = ConfluentRegistry(RegistrySettings(url=self.brokers.registry_url))
        self.contracts = Contracts.load(self._copy_contracts())
        self.contract = self.contracts.topic(self.topic)
        self.catalog = {
            "name": "local",
            "type": "sql",
            "uri": f"sqlite:///{self.folder}/catalog.db",
            "warehouse": f"file://{self.folder}/warehouse",
        }
        create_tables(self.catalog)
        admin = KafkaAdmin(self.kafka)
        for topic in (self.topic, f"{self.topic}.dlq"):
            admin.create(topic, partitions=PARTITIONS, config={})
            self.registry.register(f"{topic}-value", self.contracts.record(self.contracts.topic(topic).record).text)
        record = self.contracts.record(self.contract.record)
        self.encoder = Encoder(self.registry, self.contract.subject, record)
        examples = self.contracts.directory / "examples" / self.contract.record
        self.event: dict[str, Any] = json.loads((examples / "rules_allow.json").read_text("utf-8"))

    def _copy_contracts(self) -> Path:
        """Give the shipped contract of a topic with a table to a topic that only this test has."""
        shipped, own = Contracts.load().directory, self.folder / "contracts"
        for part in ("avro", "sets", "topics", "examples"):
            shutil.copytree(shipped / part, own / part)
        for suffix in ("", ".dlq"):
            text = (own / "topics" / f"{SOURCE_TOPIC}{suffix}.yaml").read_text("utf-8")
            path = own / "topics" / f"{self.topic}{suffix}.yaml"
            path.write_text(text.replace(SOURCE_TOPIC, self.topic), "utf-8")
        if self.pii:
            path = own / "topics" / f"{self.topic}.yaml"
            contract = yaml.safe_load(path.read_text("utf-8"))
            contract["table"]["pii"] = self.pii
            path.write_text(yaml.safe_dump(contract), "utf-8")
        return own

    def value(self, event_id: str) -> bytes:
        return self.encoder.encode({**self.event, "event_id": event_id})

    def outgoing(self, event_id: str) -> OutgoingRecord:
        return OutgoingRecord(
            self.topic, event_id.encode(), self.value(event_id), partition=len(self.sent) % PARTITIONS
        )

    def produce(self, count: int) -> None:
        """Send events outside of transactions."""
        producer = KafkaProducer(self.kafka)
        for _ in range(count):
            event_id = f"plain-{len(self.sent)}"
            producer.send(self.outgoing(event_id))
            self.sent.append(event_id)
        assert producer.flush(30) == 0

    def produce_in_transactions(self, transactions: int, size: int) -> None:
        """Send events in transactions of which every third is aborted, so that offsets have gaps."""
        producer = KafkaTransactionalProducer(self.kafka, transactional_id=self.topic)
        for number in range(transactions):
            producer.begin()
            event_ids = [f"transaction-{len(self.sent)}-{index}" for index in range(size)]
            before = self.end()
            for index, event_id in enumerate(event_ids):
                producer.send(OutgoingRecord(self.topic, None, self.value(event_id), partition=index % PARTITIONS))
            if number % 3 == 2:
                eventually(lambda before=before: self.end() >= before + size, 20)  # in the log, to be aborted there
                producer.abort()
            else:
                producer.commit({}, None)
                self.sent.extend(event_ids)
        producer.close()

    def end(self) -> int:
        """Sum of the high watermarks, open transactions included."""
        partitions = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
        return sum(KafkaAdmin(self.kafka).high_watermarks(partitions).values())

    def writer(self, instance: str, group: str, **settings: str) -> ServiceProcess:
        port = free_port()
        environment = {
            "HEADGATE_WRITER_KAFKA__BOOTSTRAP_SERVERS": self.brokers.bootstrap_servers,
            "HEADGATE_WRITER_REGISTRY__URL": self.brokers.registry_url,
            "HEADGATE_WRITER_HTTP__PORT": str(port),
            "HEADGATE_WRITER_INSTANCE": instance,
            "HEADGATE_WRITER_GROUP_ID": f"{group}-{self.topic}",
            "HEADGATE_WRITER_CONTRACTS_DIR": str(self.contracts.directory),
            "HEADGATE_WRITER_TOPICS": json.dumps([self.topic]),
            "HEADGATE_WRITER_CATALOG": json.dumps(self.catalog),
            "HEADGATE_WRITER_COMMIT_INTERVAL_S": "0.2",
            "HEADGATE_WRITER_COMMIT_ROWS": "1500",
            **settings,
        }
        ready = f"http://127.0.0.1:{port}/readyz"
        command = [sys.executable, "-m", "headgate_writer"]
        return ServiceProcess(
            ProcessSpec(instance, command, self.folder / "run", lambda: http_not_ready(ready), environment)
        )

    def table(self) -> Table | None:
        catalog = load_catalog(**self.catalog)
        assert self.contract.table is not None
        try:
            return catalog.load_table(self.contract.table.name)
        except NoSuchTableError:
            return None

    def row_count(self) -> int:
        table = self.table()
        return table.scan().count() if table else 0

    def positions(self) -> Positions | None:
        table = self.table()
        snapshot = table.current_snapshot() if table else None
        summary = snapshot.summary if snapshot else None
        return positions_of(iter([summary.additional_properties])) if summary else None

    def assert_exact(self) -> None:
        """Every event that was committed to the topic is one row, and every row has its own position."""
        table = self.table()
        assert table is not None
        rows = table.scan(selected_fields=("event_id", "_topic", "_partition", "_offset")).to_arrow().to_pylist()
        assert Counter(row["event_id"] for row in rows) == Counter(self.sent)
        assert len({(row["_topic"], row["_partition"], row["_offset"]) for row in rows}) == len(rows)


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> World:
    return World(topic_name("stored"), tmp_path, stack)


@contextmanager
def running(*writers: ServiceProcess) -> Iterator[None]:
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        for writer in writers:
            writer.terminate()
        for writer in writers:
            writer.stop()


def test_writers_killed_and_doubled_lose_and_double_nothing(world: World) -> None:
    rng = random.Random(7)  # noqa: S311 - the same chaos each time
    pair = [world.writer("writer-0", "writers"), world.writer("writer-1", "writers")]
    # Another group, so it owns every partition at the same time as the pair: a zombie that is not even hung.
    zombie = world.writer("zombie", "zombies")
    with running(*pair, zombie):
        for writer in (*pair, zombie):
            writer.wait_ready()
        world.produce(8_000)
        eventually(lambda: world.row_count() > 0, 30)
        for round_ in range(4):
            seen = world.row_count()
            world.produce_in_transactions(6, 500)
            world.produce(2_000)
            eventually(lambda seen=seen: world.row_count() > seen, 30)
            victim = zombie if round_ == 2 else pair[rng.randrange(2)]
            victim.wait_ready()
            victim.kill9()
            assert victim.revive()
        eventually(lambda: world.row_count() >= len(world.sent), 60)
        fenced = [writer.spec.log.read_text("utf-8").count("commit fenced") for writer in (*pair, zombie)]
        for writer in (*pair, zombie):
            writer.wait_ready()
    assert sum(fenced) > 0, "the zombie never met the pair"
    assert [writer.exit_code for writer in (*pair, zombie)] == [0, 0, 0]
    world.assert_exact()


def test_poison_goes_to_the_dead_letters_and_the_partition_goes_on(world: World) -> None:
    good = world.value("poison")
    poison = {
        "bad_magic": b"\x01" + good[1:],
        "unknown_schema_id": struct.pack(">bI", 0, UNKNOWN_SCHEMA_ID) + good[5:],
        "undecodable": good[:40],
        "trailing_bytes": good + b"\x00",
        "contract_violation": contract_break(world),
        "unrepresentable": world.encoder.encode({**world.event, "event_timestamp": 2**62}),
        "tombstone": None,
    }
    producer = KafkaProducer(world.kafka)
    for value in poison.values():
        world.produce(50)
        producer.send(OutgoingRecord(world.topic, b"poison", value, partition=1))
        assert producer.flush(10) == 0
    world.produce(50)
    with running(world.writer("writer-0", "writers")):
        eventually(lambda: world.row_count() >= len(world.sent), 40)
    world.assert_exact()
    letters = dead_letters(world)
    assert {letter["cause"]: letter["value"] for letter in letters} == poison
    assert len(letters) == len(poison)
    positions = world.positions()
    assert positions is not None
    assert sum(sum(own.values()) for own in positions.topics.values()) == len(world.sent) + len(poison)


def test_personal_data_is_hashed_under_the_key_and_the_key_stays_secret(
    stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]
) -> None:
    world = World(topic_name("hashed"), tmp_path, stack, pii={"direct": "hash", "quasi": "drop"})
    assert world.contract.fields.key is not None
    *parents, leaf = world.contract.fields.key.split(".")
    key_file, key = tmp_path / "key", secrets.token_hex(32)
    key_file.write_text(f"{key}\n", "utf-8")
    world.produce(20)
    writer = world.writer("writer-0", "writers", HEADGATE_WRITER_PII_KEY_FILE=str(key_file))
    with running(writer):
        eventually(lambda: world.row_count() >= len(world.sent), 40)
    world.assert_exact()
    table = world.table()
    assert table is not None
    personal = reduce(lambda value, name: value[name], parents, world.event)
    for row in table.scan().to_arrow().to_pylist():
        stored = reduce(lambda value, name: value[name], parents, row)
        assert stored[leaf] == hmac.digest(key.encode(), personal[leaf].encode(), "sha256").hex()
        assert "country" not in stored
    assert not any(personal[leaf].encode() in file.read_bytes() for file in tmp_path.rglob("*.parquet"))
    assert key not in writer.spec.log.read_text("utf-8")


def test_a_writer_whose_table_hashes_does_not_start_without_a_key(
    stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]
) -> None:
    world = World(topic_name("keyless"), tmp_path, stack, pii={"direct": "hash"})
    writer = world.writer("writer-0", "writers")
    with running(writer):
        eventually(lambda: not writer.running, 40)
    assert writer.exit_code != 0
    assert "HEADGATE_WRITER_PII_KEY_FILE" in writer.spec.log.read_text("utf-8")
    assert world.table() is None


def contract_break(world: World) -> bytes:
    """Return valid Avro that breaks the first rule of the contract that names a closed set."""
    rule = next(rule for rule in world.contract.rules if rule.one_of)
    *parents, leaf = rule.field.split(".")
    event = json.loads(json.dumps(world.event))
    inner = event
    for name in parents:
        inner = inner[name]
    inner[leaf] = "no such value"
    return world.encoder.encode(event)


def dead_letters(world: World) -> list[dict[str, Any]]:
    topic = f"{world.topic}.dlq"
    decoder = Decoder(world.registry, world.contracts.record(world.contracts.topic(topic).record))
    records = read_compacted(world.kafka, topic, range(PARTITIONS), timeout_s=20)
    return [decoder.decode(record.value) for record in records.values()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
