"""Topics, a model endpoint and real enricher processes for the tests that kill, move and starve them."""

from __future__ import annotations

import copy
import itertools
import shutil
import socket
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import httpx
import yaml
from headgate_enricher.config import Settings
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
    from collections.abc import Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers

# Settings of the enricher that name a topic, and the topics they name.
TOPICS = {name: str(known.default) for name, known in Settings.model_fields.items() if name.endswith("topic")}
START_MS, END_MS = 1_760_000_000_000, 1_760_086_400_000


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
        self.source, self.output = (f"{self.name}.{TOPICS[name]}" for name in ("topic", "output_topic"))
        self.contracts = Contracts.load(self._copy_contracts())
        self.admin = KafkaAdmin(self.kafka)
        for topic, contract in self.contracts.topics.items():
            config = {"cleanup.policy": contract.cleanup_policy}
            self.admin.create(topic, partitions=contract.partitions, config=config)
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
        for path in (shipped / "topics").glob("*.yaml"):
            contract = yaml.safe_load(path.read_text("utf-8"))
            contract |= {key: f"{self.name}.{contract[key]}" for key in ("topic", "dead_letters") if key in contract}
            (own / "topics" / f"{contract['topic']}.yaml").write_text(yaml.safe_dump(contract), "utf-8")
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
                {"HEADGATE_BEDROCK_LOCAL_PORT": str(port)},
            )
        )

    def enricher(self, instance: str, **settings: str) -> ServiceProcess:
        """An enricher with settings of its own, by their names in capitals."""
        port = free_port()
        prefix = "HEADGATE_ENRICHER_"
        environment = {
            f"{prefix}KAFKA__BOOTSTRAP_SERVERS": self.brokers.bootstrap_servers,
            f"{prefix}REGISTRY__URL": self.brokers.registry_url,
            f"{prefix}HTTP__PORT": str(port),
            f"{prefix}INSTANCE": instance,
            f"{prefix}GROUP_ID": f"enrichers-{self.name}",
            f"{prefix}CONTRACTS_DIR": str(self.contracts.directory),
            **{f"{prefix}{name.upper()}": f"{self.name}.{topic}" for name, topic in TOPICS.items()},
            f"{prefix}EVENT_DEADLINE_S": "20",  # a busy machine must not make fallbacks of what the model decides
            f"{prefix}BEDROCK__ENDPOINT_URL": self.model_url,
            f"{prefix}BEDROCK__ACCESS_KEY_ID": "local",
            f"{prefix}BEDROCK__SECRET_ACCESS_KEY": "local",
            **{f"{prefix}{name}": value for name, value in settings.items()},
        }
        ready = f"http://127.0.0.1:{port}/readyz"
        command = [sys.executable, "-m", "headgate_enricher"]
        return ServiceProcess(
            ProcessSpec(instance, command, self.folder / "run", lambda: http_not_ready(ready), environment)
        )

    def faults(self, **knobs: float) -> None:
        httpx.put(f"{self.model_url}/admin/faults", json=knobs).raise_for_status()

    def model_stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = httpx.get(f"{self.model_url}/admin/stats").raise_for_status().json()
        return stats

    def model_calls(self) -> int:
        return int(self.model_stats()["calls"])

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

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self.contracts.topic(topic).partitions)]

    def written(self) -> int:
        """Sum of the output topic's high watermarks, open transactions included."""
        return sum(self.admin.high_watermarks(self.partitions_of(self.output)).values())

    def read(self, topic: str) -> list[Record]:
        """Every committed record of a topic, in order per partition."""
        consumer = KafkaConsumer(self.kafka, group_id=f"reader-{self.name}-{topic}-{len(self.sent)}")
        partitions = self.partitions_of(topic)
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
            return len(consumer.assignment()) == len(partitions) and all(
                (consumer.position(partition) or 0) >= end for partition, end in ends.items()
            )

        eventually(at_end, 30)
        consumer.close()
        return records

    def event_id(self, event: dict[str, Any]) -> str:
        return str(field_getter(self.id_path)(event))

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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
