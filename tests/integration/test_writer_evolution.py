"""A new version of the record comes while real writers run and are killed: old rows are null, new rows hold their values."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import duckdb_extension_avro
import duckdb_extension_iceberg
import pytest
from headgate_runtime.avro import Encoder
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.testing import eventually
from headgate_schemas.records import parse_record

from tests.integration.writers import PARTITIONS, World, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_local.fixtures import Brokers
    from headgate_schemas import RecordSchema
    from pyiceberg.table import Table

RANK, CITY = 2**40, "Ulm"


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> World:
    return World(topic_name("evolving"), tmp_path, stack)


def evolved(world: World) -> RecordSchema:
    """The next version: a new record, a new field in a nested record, and an int that is a long now."""
    schema = json.loads(world.contracts.record(world.contract.record).text)
    place = {"type": "record", "name": "place", "fields": [{"name": "city", "type": "string"}]}
    schema["fields"].append({"name": "place", "type": ["null", place], "default": None})
    decision = next(field["type"]["fields"] for field in schema["fields"] if field["name"] == "agent_metadata")
    decision.append({"name": "rank", "type": ["null", "long"], "default": None})
    revision = next(field for field in decision if field["name"] == "revision")
    revision["type"] = "long"
    return parse_record(world.contract.record, 2, schema)


def newer(event: dict[str, Any]) -> dict[str, Any]:
    return event | {
        "place": {"city": CITY},
        "agent_metadata": event["agent_metadata"] | {"rank": RANK, "revision": RANK},
    }


def send(world: World, producer: KafkaProducer, encoder: Encoder, event: dict[str, Any], prefix: str) -> None:
    event_id = f"{prefix}-{len(world.sent)}"
    value = encoder.encode({**event, "event_id": event_id})
    producer.send(OutgoingRecord(world.topic, None, value, partition=len(world.sent) % PARTITIONS))
    world.sent.append(event_id)


def test_a_new_version_is_stored_exactly_once_while_writers_are_killed(world: World) -> None:
    version = evolved(world)
    pair = [world.writer("writer-0", "writers"), world.writer("writer-1", "writers")]
    producer = KafkaProducer(world.kafka)
    with running(*pair):
        for writer in pair:
            writer.wait_ready()
        world.produce(3_000)
        eventually(lambda: world.row_count() > 0, 30)
        world.registry.register(world.contract.subject, version.text)
        encoder = Encoder(world.registry, world.contract.subject, version)
        for round_ in range(4):
            victim, seen = pair[round_ % 2], world.row_count()
            for number in range(2_000):
                if number % 3:
                    send(world, producer, world.encoder, world.event, "v1")
                else:
                    send(world, producer, encoder, newer(world.event), "v2")
                if number == 600:  # the first round's are the first of the new version
                    victim.kill9()
            assert producer.flush(30) == 0
            assert victim.revive()
            eventually(lambda seen=seen: world.row_count() > seen, 30)
            for writer in pair:
                writer.wait_ready()
        eventually(lambda: world.row_count() >= len(world.sent), 60)
    assert [writer.exit_code for writer in pair] == [0, 0]
    world.assert_exact()
    table = world.table()
    assert table is not None
    assert_values(table)
    assert by_duckdb(table) == by_pyiceberg(table)


def assert_values(table: Table) -> None:
    """Each row of the old version is null where the new one has more, and each row of the new one holds its values."""
    for row in table.scan(selected_fields=("event_id", "place", "agent_metadata")).to_arrow().to_pylist():
        decision = row["agent_metadata"]
        found = (row["place"], decision["rank"], decision["revision"])
        assert found == (({"city": CITY}, RANK, RANK) if row["event_id"].startswith("v2") else (None, None, 0))


QUERY = """
    SELECT event_id, place.city AS city, agent_metadata.rank AS rank, agent_metadata.revision AS revision,
           agent_metadata.decision AS decision, _partition, _offset
    FROM {source} ORDER BY event_id
"""


def extension(module: Any) -> Path:
    return next(Path(module.__file__).parent.rglob("*.duckdb_extension"))


def by_duckdb(table: Table) -> list[tuple[Any, ...]]:
    """What DuckDB reads from the metadata file on its own."""
    with duckdb.connect() as connection:
        for module in (duckdb_extension_avro, duckdb_extension_iceberg):
            connection.execute(f"LOAD '{extension(module)}'")
        return connection.execute(QUERY.format(source=f"iceberg_scan('{table.metadata_location}')")).fetchall()


def by_pyiceberg(table: Table) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.register("rows", table.scan().to_arrow())
        return connection.execute(QUERY.format(source="rows")).fetchall()


def test_records_of_a_version_that_cannot_be_stored_are_dead_letters_and_the_rest_goes_on(world: World) -> None:
    schema = copy.deepcopy(world.contracts.record(world.contract.record).schema)
    schema["fields"].append({"name": "weight", "type": "long"})
    breaking = parse_record(world.contract.record, 2, schema)
    world.registry.set_compatibility(world.contract.subject, "NONE")
    world.registry.register(world.contract.subject, breaking.text)
    encoder = Encoder(world.registry, world.contract.subject, breaking)
    producer = KafkaProducer(world.kafka)
    with running(world.writer("writer-0", "writers")):
        world.produce(100)
        for number in range(5):
            value = encoder.encode({**world.event, "event_id": f"heavy-{number}", "weight": number})
            producer.send(OutgoingRecord(world.topic, None, value, partition=number % PARTITIONS))
        assert producer.flush(30) == 0
        world.produce(100)
        eventually(lambda: world.row_count() >= len(world.sent), 40)
        eventually(lambda: world.row_count(".dlq") >= 5, 20)
    world.assert_exact()
    letters = world.dead_letters()
    assert [letter["cause"] for letter in letters] == ["schema_not_storable"] * 5
    assert "field weight is new, has to be there and has no default: give it one" in letters[0]["message"]
    assert {letter["schema_id"] for letter in letters} == {encoder.schema_id}
    table = world.table()
    assert table is not None
    assert "weight" not in table.schema().column_names
