"""Lineage of commits, verification, rollback, and dead letters put back, on real brokers with a real writer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from headgate_admin.main import make_app
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.compacted import read_compacted
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_runtime.testing import eventually
from typer.testing import CliRunner

from tests.integration.writers import PARTITIONS, World, contract_break, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headgate_local.fixtures import Brokers

REPLAYS = "dead-letter-replays"


class Operated(World):
    """A writer's world with the command line in it."""

    def prepare(self, monkeypatch: pytest.MonkeyPatch, replays: str) -> None:
        contract = self.contracts.topic(REPLAYS)
        path = self.contracts.directory / "topics" / f"{replays}.yaml"
        path.write_text((path.parent / f"{REPLAYS}.yaml").read_text("utf-8").replace(REPLAYS, replays), "utf-8")
        KafkaAdmin(self.kafka).create(replays, partitions=1, config={})
        self.registry.register(f"{replays}-value", self.contracts.record(contract.record).text)
        settings = {
            "KAFKA__BOOTSTRAP_SERVERS": self.brokers.bootstrap_servers,
            "REGISTRY__URL": self.brokers.registry_url,
            "CONTRACTS_DIR": str(self.contracts.directory),
            "CATALOG": json.dumps(self.catalog),
            "REPLAYS_TOPIC": replays,
            "OPERATOR": "o-7",
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"HEADGATE_ADMIN_{name}", value)

    @property
    def name(self) -> str:
        assert self.contract.table is not None
        return self.contract.table.name

    def headgate(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(make_app(), [*arguments, "--json"])
        return result.exit_code, json.loads(result.stdout)

    def verified(self) -> tuple[int, dict[str, Any]]:
        return self.headgate("table", "verify", self.name, "--topic", self.topic, "--log")

    def poison(self, value: bytes | None, key: bytes) -> None:
        producer = KafkaProducer(self.kafka)
        producer.send(OutgoingRecord(self.topic, key, value, partition=1))
        assert producer.flush(10) == 0

    def dead(self) -> int:
        return len(read_compacted(self.kafka, f"{self.topic}.dlq", range(PARTITIONS), timeout_s=20))


@pytest.fixture
def world(
    stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Operated:
    monkeypatch.chdir(tmp_path)
    world = Operated(topic_name("operated"), tmp_path, stack)
    world.prepare(monkeypatch, topic_name("replays"))
    return world


def test_a_mended_record_and_one_whose_rule_was_mended_land_once(world: Operated, tmp_path: Path) -> None:
    world.poison(contract_break(world), b"held back")
    world.poison(b"\x01nonsense", b"nonsense")
    world.produce(20)
    with running(world.writer("writer-0", "writers")):
        eventually(lambda: world.row_count() >= 20, 40)
    code, document = world.headgate("dlq", "list", world.topic)
    assert (code, {group["cause"]: group["letters"] for group in document["groups"]}) == (
        0,
        {"contract_violation": 1, "bad_magic": 1},
    )
    letters = {group["cause"]: group["letter"] for group in document["groups"]}
    code, document = world.headgate("dlq", "show", letters["contract_violation"])
    assert (code, document["value"]["note"], document["value"]["decoded"]["event_id"]) == (
        0,
        None,
        world.event["event_id"],
    )
    assert world.headgate("dlq", "replay", world.topic, "--cause", "contract_violation", "--yes")[0] == 1

    path = world.contracts.directory / "topics" / f"{world.topic}.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("[rules, model, fallback, human]", "[rules, model, fallback, human, no such value]"))
    assert path.read_text("utf-8") != text
    code, document = world.headgate("dlq", "replay", world.topic, "--cause", "contract_violation", "--yes")
    assert (code, document["replayed"]) == (0, 1)
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps({**world.event, "event_id": "mended"}))
    arguments = ["dlq", "replay", world.topic, "--position", letters["bad_magic"], "--yes"]
    assert world.headgate(*arguments, "--value-file", str(mended))[0] == 0
    assert world.headgate(*arguments, "--value-file", str(mended))[0] == 1

    world.sent += [world.event["event_id"], "mended"]
    with running(world.writer("writer-0", "writers")):
        eventually(lambda: world.row_count() >= len(world.sent), 40)
    world.assert_exact()
    assert {group["replayed"] for group in world.headgate("dlq", "list", world.topic)[1]["groups"]} == {1}


def test_offsets_without_a_row_are_marks_or_dead_letters_and_never_missing(world: Operated) -> None:
    world.poison(b"\x01nonsense", b"nonsense")
    world.produce_in_transactions(6, 40)
    world.produce(40)
    with running(world.writer("writer-0", "writers")):
        eventually(lambda: world.row_count() >= len(world.sent), 40)
    code, document = world.verified()
    logs = [partition["log"] for partition in document["partitions"]]
    assert (code, document["findings"]) == (0, [])
    assert sum(partition["rows"] for partition in document["partitions"]) == len(world.sent)
    assert sum(log["dead_lettered"] for log in logs) == 1
    # Six transactions end with a mark in each partition, and two of them were aborted with forty records in all of them.
    assert sum(log["control"] for log in logs) >= 2 * 40
    assert {(log["missing"], log["left"]) for log in logs} == {(0, 0)}


def test_a_running_writer_stores_again_what_a_rollback_took_back(world: Operated) -> None:
    with running(world.writer("writer-0", "writers")):
        world.produce(40)
        eventually(lambda: world.row_count() >= 40, 40)
        table = world.table()
        assert table is not None
        target = table.metadata.current_snapshot_id
        world.produce(40)
        eventually(lambda: world.row_count() >= 80, 40)
        code, document = world.headgate("table", "rollback-to", world.name, "--snapshot", str(target), "--yes")
        assert (code, document["rows"]) == (0, 40)
        assert all(move["lost"] == 0 and move["after"] < move["before"] for move in document["positions"])
        world.produce(40)
        eventually(lambda: world.row_count() >= 120, 40)
    world.assert_exact()
    assert world.verified()[0] == 0


def test_a_record_that_a_table_lost_is_found_missing(world: Operated) -> None:
    world.produce(40)
    with running(world.writer("writer-0", "writers")):
        eventually(lambda: world.row_count() >= 40, 40)
    table = world.table()
    assert table is not None
    table.delete("_kafka_partition = 2 AND _offset = 3")
    code, document = world.verified()
    assert code == 1
    assert document["findings"] == [
        f"{world.topic}/2: 1 committed records have neither row nor dead letter, the first at offset 3"
    ]


def test_every_commit_is_told_of_over_kafka_with_all_offsets(world: Operated, topic_name: Callable[[str], str]) -> None:
    told = topic_name("lineage")
    KafkaAdmin(world.kafka).create(told, partitions=1, config={})
    writer = world.writer("writer-0", "writers")
    settings = {"HEADGATE_WRITER_LINEAGE__TRANSPORT": json.dumps({"type": "kafka", "topic": told})}
    writer.spec.environment.update(settings)  # type: ignore[attr-defined]  # a dict, as the world makes it
    with running(writer):
        for _ in range(3):
            expected = world.row_count() + 40
            world.produce(40)
            eventually(lambda expected=expected: world.row_count() >= expected, 40)  # type: ignore[misc]
    records: list[Record] = []
    read_range(world.kafka, {TopicPartition(told, 0): 0}, records.append, 20)
    events = [json.loads(record.value or b"") for record in records]
    ended = [event for event in events if event["eventType"] == "COMPLETE"]
    table = world.table()
    assert table is not None
    assert [event["outputs"][0]["facets"]["version"]["datasetVersion"] for event in ended] == [
        str(entry.snapshot_id) for entry in table.history()
    ]
    assert sum(event["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] for event in ended) == 120
    reached: dict[int, int] = {}
    for event in ended:
        for part in event["inputs"][0]["inputFacets"]["subset"]["inputCondition"]["partitions"]:
            dimensions = part["dimensions"]
            assert dimensions["firstOffset"] == reached.get(dimensions["partition"], 0)
            reached[dimensions["partition"]] = dimensions["endOffset"]
    assert reached == dict.fromkeys(range(PARTITIONS), 30)
    assert {record.key for record in records} == {f"headgate/writers-{world.topic}.{world.name}".encode()}
