"""A topic of a test's own, with contract, schemas and catalog, and real writer processes on demand."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
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

from tests.load.sqlite_catalog import create_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers
    from pyiceberg.table import Table

PARTITIONS = 4
SOURCE_TOPIC = "enriched-events"


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
            contract["table"] |= {"name": "lakehouse.protected", "pii": self.pii}
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
            "HEADGATE_WRITER_TOPICS": json.dumps([self.topic, f"{self.topic}.dlq"]),
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

    def table(self, suffix: str = "") -> Table | None:
        """The table of the topic, or of its dead letters."""
        catalog = load_catalog(**self.catalog)
        contract = self.contracts.topic(self.topic + suffix).table
        assert contract is not None
        try:
            return catalog.load_table(contract.name)
        except NoSuchTableError:
            return None

    def row_count(self, suffix: str = "") -> int:
        table = self.table(suffix)
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
        rows = table.scan(selected_fields=("event_id", "_topic", "_kafka_partition", "_offset")).to_arrow().to_pylist()
        assert Counter(row["event_id"] for row in rows) == Counter(self.sent)
        assert len({(row["_topic"], row["_kafka_partition"], row["_offset"]) for row in rows}) == len(rows)

    def dead_letters(self) -> list[dict[str, Any]]:
        """The dead letters in their topic, each record's once."""
        topic = f"{self.topic}.dlq"
        decoder = Decoder(self.registry, self.contracts.record(self.contracts.topic(topic).record))
        records = read_compacted(self.kafka, topic, range(PARTITIONS), timeout_s=20)
        return [decoder.decode(record.value) for record in records.values()]


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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
