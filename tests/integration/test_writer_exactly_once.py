"""Real writer processes on a real broker, killed and doubled: the table holds every committed record once."""

from __future__ import annotations

import hmac
import random
import secrets
import struct
from functools import reduce
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.native import installed_decoder
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.testing import eventually

from tests.integration.writers import World, contract_break, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headgate_local.fixtures import Brokers

UNKNOWN_SCHEMA_ID = 999_999


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> World:
    return World(topic_name("stored"), tmp_path, stack)


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
        for writer in (*pair, zombie):
            writer.wait_ready()

        def met() -> bool:
            world.produce(1_000)
            return any("commit fenced" in writer.spec.log.read_text("utf-8") for writer in (*pair, zombie))

        eventually(met, 60)
        eventually(lambda: world.row_count() >= len(world.sent), 60)
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
    writer = world.writer("writer-0", "writers")
    with running(writer):
        eventually(lambda: world.row_count() >= len(world.sent), 40)
        eventually(lambda: world.row_count(".dlq") >= len(poison), 20)
    assert installed_decoder()[0] in writer.spec.log.read_text("utf-8")
    world.assert_exact()
    letters = world.dead_letters()
    assert {letter["cause"]: letter["value"] for letter in letters} == poison
    assert len(letters) == len(poison)
    stored = world.table(".dlq")
    assert stored is not None
    rows = stored.scan().to_arrow().to_pylist()
    assert {row["cause"]: row["value"] for row in rows} == poison
    assert {row["_topic"] for row in rows} == {f"{world.topic}.dlq"}
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
