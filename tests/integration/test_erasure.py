"""``headgate erase`` and ``headgate lineage`` on real brokers with a real writer that goes on storing."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from headgate_admin.main import make_app
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.compacted import read_compacted
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.testing import eventually
from typer.testing import CliRunner

from tests.integration.writers import PARTITIONS, World, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headgate_local.fixtures import Brokers

MEMORY = "enricher-memory"
KEY = "payload.attributes.user_id"


class Erasing(World):
    """A writer's world with two people, the command line, and a topic of agents' memory."""

    def prepare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.memory = f"{self.topic}.memory"
        folder = self.contracts.directory / "topics"
        text = (folder / f"{MEMORY}.yaml").read_text("utf-8").replace(f"topic: {MEMORY}", f"topic: {self.memory}")
        (folder / f"{self.memory}.yaml").write_text(text, "utf-8")
        KafkaAdmin(self.kafka).create(self.memory, partitions=PARTITIONS, config={"cleanup.policy": "compact"})
        settings = {
            "KAFKA__BOOTSTRAP_SERVERS": self.brokers.bootstrap_servers,
            "REGISTRY__URL": self.brokers.registry_url,
            "CONTRACTS_DIR": str(self.contracts.directory),
            "CATALOG": json.dumps(self.catalog),
            "ENRICHED_TOPIC": self.topic,
            "OPERATOR": "o-7",
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"HEADGATE_ADMIN_{name}", value)

    def send(self, user: str, count: int) -> None:
        """Send a person's events in a transaction, whose end is a control record that no table ever stores."""
        producer = KafkaTransactionalProducer(self.kafka, transactional_id=self.topic)
        producer.begin()
        for _ in range(count):
            event = copy.deepcopy(self.event) | {"event_id": f"{user}-{len(self.sent)}"}
            event["payload"]["attributes"]["user_id"] = user
            partition = len(self.sent) % PARTITIONS
            producer.send(OutgoingRecord(self.topic, user.encode(), self.encoder.encode(event), partition=partition))
            self.sent.append(event["event_id"])
        producer.commit({}, None)
        producer.close()

    def stored(self) -> dict[str, list[str]]:
        """Event ids in the head by person."""
        table = self.table()
        assert table is not None
        rows = table.scan(selected_fields=("event_id", KEY)).to_arrow().to_pylist()
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row["payload"]["attributes"]["user_id"], []).append(row["event_id"])
        return found

    def headgate(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(make_app(), [*arguments, "--json"], catch_exceptions=False)
        return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Erasing:
    world = Erasing(topic_name("erasing"), tmp_path, stack)
    world.prepare(monkeypatch)
    return world


def test_a_person_is_erased_while_the_writer_stores_and_everybody_else_stays(world: Erasing) -> None:
    producer = KafkaProducer(world.kafka)
    for key in (b"gone/risk/ann", b"gone/risk/bob"):
        producer.send(OutgoingRecord(world.memory, key, b"memory", partition=1))
    producer.close()
    with running(world.writer("writer-0", "writers")):
        world.send("ann", 40)
        world.send("bob", 40)
        eventually(lambda: world.row_count() == len(world.sent), 60)
        code, way = world.headgate("lineage", world.sent[0])
        assert (code, way.get("errors")) == (0, None)
        assert way["revisions"][0]["stored_by"] is not None
        assert way["revisions"][0]["record"]["in_the_log"]
        code, looked = world.headgate("erase", "--user", "ann", "--dry-run")
        assert (code, sum(table["rows_left"] for table in looked["tables"])) == (0, 40)
        code, told = world.headgate("erase", "--user", "ann", "--yes")
        assert (code, told["problems"]) == (0, [])
        assert sum(table["erased"] for table in told["tables"]) == 40
        assert world.topic in {topic["topic"] for topic in told["fading_topics"]}
        world.send("bob", 40)
        eventually(lambda: world.row_count() == 80, 60)
    assert sorted(world.stored()["bob"]) == sorted(event_id for event_id in world.sent if event_id.startswith("bob"))
    assert "ann" not in world.stored()
    assert list(read_compacted(world.kafka, world.memory, range(PARTITIONS), 30)) == [(1, b"gone/risk/bob")]


def test_rows_that_the_writer_has_not_stored_yet_are_told(world: Erasing) -> None:
    with running(world.writer("writer-0", "writers")):
        world.send("ann", 4)
        eventually(lambda: world.row_count() == 4, 60)
    world.send("ann", 4)
    code, told = world.headgate("erase", "--user", "ann", "--yes", "--wait-s", "0.5")
    assert code == 1
    assert "has not stored all" in told["problems"][0]
    assert world.row_count() == 0
