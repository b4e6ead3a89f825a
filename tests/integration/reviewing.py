"""A process that joins reviews, people's answers, and what came of them; for tests around ``World``."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from headgate_admin.main import make_app
from headgate_enricher.reviews.config import Settings
from headgate_local.http_ready import http_not_ready
from headgate_local.processes import ProcessSpec, ServiceProcess
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_schemas import field_getter
from typer.testing import CliRunner

from tests.integration.enrichers import TOPICS, free_port

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.integration.enrichers import World

# Settings of the join that name a topic, and the topics they name.
JOIN_TOPICS = {name: str(known.default) for name, known in Settings.model_fields.items() if name.endswith("topic")}


class Reviewing:
    """The topics of reviews in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked = f"{world.name}.{TOPICS['reviews_topic']}"
        self.answered = f"{world.name}.{JOIN_TOPICS['topic']}"
        contract = world.contracts.topic(self.answered)
        self.encoder = Encoder(world.registry, contract.subject, world.contracts.record(contract.record))

    def process(self, instance: str) -> ServiceProcess:
        port, prefix, world = free_port(), "HEADGATE_REVIEWS_", self.world
        environment = {
            f"{prefix}KAFKA__BOOTSTRAP_SERVERS": world.brokers.bootstrap_servers,
            f"{prefix}REGISTRY__URL": world.brokers.registry_url,
            f"{prefix}HTTP__PORT": str(port),
            f"{prefix}INSTANCE": instance,
            f"{prefix}GROUP_ID": f"reviews-{world.name}",
            f"{prefix}CONTRACTS_DIR": str(world.contracts.directory),
            f"{prefix}COMMIT_INTERVAL_MS": "20",
            **{f"{prefix}{name.upper()}": f"{world.name}.{topic}" for name, topic in JOIN_TOPICS.items()},
        }
        command = [sys.executable, "-m", "headgate_enricher.reviews"]
        ready = f"http://127.0.0.1:{port}/readyz"
        return ServiceProcess(
            ProcessSpec(instance, command, world.folder / "run", lambda: http_not_ready(ready), environment)
        )

    def command(self, *arguments: str) -> dict[str, Any]:
        """Run ``headgate review`` on the world's topics."""
        world = self.world
        environment = {
            "HEADGATE_ADMIN_KAFKA__BOOTSTRAP_SERVERS": world.brokers.bootstrap_servers,
            "HEADGATE_ADMIN_REGISTRY__URL": world.brokers.registry_url,
            "HEADGATE_ADMIN_CONTRACTS_DIR": str(world.contracts.directory),
            "HEADGATE_ADMIN_REVIEWS_TOPIC": self.asked,
            "HEADGATE_ADMIN_OUTCOMES_TOPIC": self.answered,
            "HEADGATE_ADMIN_REVIEWER": "person-1",
        }
        result = CliRunner().invoke(make_app(), ["review", *arguments, "--json"], env=environment)
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    def send(self, values: Iterable[tuple[str, bytes]]) -> None:
        """Send outcomes as they are, each with the key that says which go to the same partition."""
        producer = KafkaProducer(self.world.kafka)
        for key, value in values:
            producer.send(OutgoingRecord(self.answered, key.encode(), value))
        assert producer.flush(30) == 0

    def values(self, topic: str) -> list[dict[str, Any]]:
        contract = self.world.contracts.topic(topic)
        decoder = Decoder(self.world.registry, self.world.contracts.record(contract.record))
        return [decoder.decode(record.value) for record in self.world.read(topic)]

    def revisions(self) -> dict[str, list[dict[str, Any]]]:
        """The later records of each event, in the order they were committed in."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        event_id = field_getter(self.world.id_path)
        for value in self.values(self.world.output):
            if value["agent_metadata"]["revision"] > 0:
                found[event_id(value)].append(value)
        return found
