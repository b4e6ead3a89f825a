"""Topics of a test's own with contracts, schemas and definitions, and real processors on demand."""

from __future__ import annotations

import shutil
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from headgate_local.http_ready import http_not_ready
from headgate_local.processes import ProcessSpec, ServiceProcess
from headgate_processor.catalog import SHIPPED
from headgate_processor.config import Settings
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

from tests.load.decided import closer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from headgate_local.fixtures import Brokers

SOURCE = "enriched-events"
# Settings of the processor that name a topic, and the topics they name.
TOPICS = {name: str(known.default) for name, known in Settings.model_fields.items() if name.endswith("_topic")}
READ_TIMEOUT_S = 30.0


@dataclass
class World:
    """Topics of its own, and processors of them."""

    name: str
    folder: Path
    brokers: Brokers

    def __post_init__(self) -> None:
        self.kafka = KafkaSettings(bootstrap_servers=self.brokers.bootstrap_servers)
        self.registry = ConfluentRegistry(RegistrySettings(url=self.brokers.registry_url))
        self.admin = KafkaAdmin(self.kafka)
        self.contracts = Contracts.load(self._copy_contracts())
        used = [SOURCE, *TOPICS.values(), "account-profiles.dlq"]
        for contract in [self.contracts.topic(f"{self.name}.{topic}") for topic in used]:
            config = {"cleanup.policy": contract.cleanup_policy}
            self.admin.create(contract.topic, partitions=contract.partitions, config=config)
            self.registry.register(contract.subject, self.contracts.record(contract.record).text)
        source = self.contracts.topic(f"{self.name}.{SOURCE}")
        self.encoder = Encoder(self.registry, source.subject, self.contracts.record(source.record))

    def _copy_contracts(self) -> Path:
        """Give the shipped contracts and definitions to topics that only this test has."""
        shipped, own = Contracts.load().directory, self.folder / "contracts"
        for part in ("avro", "sets"):
            shutil.copytree(shipped / part, own / part)
        self.definitions = self.folder / "definitions"
        for folder, into, names in (
            (shipped / "topics", own / "topics", ("topic", "dead_letters")),
            (SHIPPED, self.definitions, ("source", "output")),
        ):
            into.mkdir()
            for path in folder.glob("*.yaml"):
                value = yaml.safe_load(path.read_text("utf-8"))
                value |= {name: f"{self.name}.{value[name]}" for name in names if name in value}
                stem = value.get("topic", value.get("name"))
                (into / f"{stem}.yaml").write_text(yaml.safe_dump(value), "utf-8")
        return own

    def processor(self, instance: str, **settings: str) -> ServiceProcess:
        """A processor with settings of its own, by their names in capitals."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = int(listener.getsockname()[1])
        prefix = "HEADGATE_PROCESSOR_"
        environment = {
            f"{prefix}KAFKA__BOOTSTRAP_SERVERS": self.brokers.bootstrap_servers,
            f"{prefix}REGISTRY__URL": self.brokers.registry_url,
            f"{prefix}HTTP__PORT": str(port),
            f"{prefix}INSTANCE": instance,
            f"{prefix}GROUP_ID": f"processors-{self.name}",
            f"{prefix}CONTRACTS_DIR": str(self.contracts.directory),
            f"{prefix}DEFINITIONS_DIR": str(self.definitions),
            f"{prefix}MAX_AHEAD_S": "10000000",  # closers are dated far ahead
            f"{prefix}COMMIT_INTERVAL_MS": "200",
            **{f"{prefix}{name.upper()}": f"{self.name}.{topic}" for name, topic in TOPICS.items()},
            **{f"{prefix}{name}": value for name, value in settings.items()},
        }
        ready = f"http://127.0.0.1:{port}/readyz"
        command = [sys.executable, "-m", "headgate_processor"]
        return ServiceProcess(
            ProcessSpec(instance, command, self.folder / "run", lambda: http_not_ready(ready), environment)
        )

    def send(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Send events, each to its account's partition."""
        producer = KafkaProducer(self.kafka)
        for event in events:
            key = event["payload"]["attributes"]["user_id"].encode()
            producer.send(OutgoingRecord(f"{self.name}.{SOURCE}", key, self.encoder.encode(event)))
        assert producer.flush(READ_TIMEOUT_S) == 0

    def close_windows(self, at: int) -> None:
        """Send an event to each partition at which all windows are over."""
        producer = KafkaProducer(self.kafka)
        for topic, partition in self.places(SOURCE):
            value = self.encoder.encode(closer(partition, at))
            producer.send(OutgoingRecord(topic, b"closer", value, partition=partition))
        assert producer.flush(READ_TIMEOUT_S) == 0

    def places(self, topic: str) -> list[TopicPartition]:
        contract = self.contracts.topic(f"{self.name}.{topic}")
        return [TopicPartition(contract.topic, number) for number in range(contract.partitions)]

    def written(self, topic: str) -> int:
        """Sum of a topic's high watermarks, open transactions included."""
        return sum(self.admin.high_watermarks(self.places(topic)).values())

    def read(self, topic: str) -> list[dict[str, Any]]:
        """Values of all committed records of a topic."""
        contract = self.contracts.topic(f"{self.name}.{topic}")
        decoder = Decoder(self.registry, self.contracts.record(contract.record))
        found: list[dict[str, Any]] = []
        starts = dict.fromkeys(self.places(topic), 0)
        read_range(self.kafka, starts, lambda record: found.append(decoder.decode(record.value)), READ_TIMEOUT_S)
        return found
