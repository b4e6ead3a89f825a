"""A new version of the record comes while real writers run and are killed: old rows are null, new rows hold their values."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.avro import Encoder
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.testing import eventually
from headgate_schemas.records import parse_record

from tests.integration.evolving import CITY, RANK, evolved, newer, rows_by_duckdb, rows_by_pyiceberg, send
from tests.integration.writers import PARTITIONS, World, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headgate_local.fixtures import Brokers
    from pyiceberg.table import Table


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> World:
    return World(topic_name("evolving"), tmp_path, stack)


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
    assert rows_by_duckdb(table, QUERY).to_pylist() == rows_by_pyiceberg(table, QUERY).to_pylist()


def assert_values(table: Table) -> None:
    """Each row of the old version is null where the new one has more, and each row of the new one holds its values."""
    for row in table.scan(selected_fields=("event_id", "place", "agent_metadata")).to_arrow().to_pylist():
        decision = row["agent_metadata"]
        found = (row["place"], decision["rank"], decision["revision"])
        assert found == (({"city": CITY}, RANK, RANK) if row["event_id"].startswith("v2") else (None, None, 0))


QUERY = """
    SELECT event_id, place.city AS city, agent_metadata.rank AS rank, agent_metadata.revision AS revision,
           agent_metadata.decision AS decision, _kafka_partition, _offset
    FROM {source} ORDER BY event_id
"""


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
