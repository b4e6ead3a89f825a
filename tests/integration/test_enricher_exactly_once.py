"""Real enricher processes on a real broker and a model endpoint: killed, rebalanced, poisoned, and without a model."""

from __future__ import annotations

import itertools
import json
import struct
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from headgate_runtime.avro import Decoder
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.testing import eventually
from headgate_schemas import field_getter

from tests.integration.enrichers import World, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from headgate_local.fixtures import Brokers

UNKNOWN_SCHEMA_ID = 999_999
RULES, MODEL = ("rules", None), ("model", None)
PROBES = 3  # more than the breaker wants to see answered


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> Iterator[World]:
    world = World(topic_name("enricher"), tmp_path, stack)
    world.model.start()
    world.model.wait_ready()
    yield world
    world.model.stop()


def test_replicas_killed_again_and_again_lose_and_double_nothing(world: World) -> None:
    world.faults(latency_ms=400, jitter=0.5)
    replicas = [world.enricher("enricher-0"), world.enricher("enricher-1")]
    with running(*replicas):
        for kill in range(5):
            before = world.written()
            world.produce_in_transactions(3, 150)
            world.produce(350)
            eventually(lambda before=before: world.written() > before + 100, 30)
            victim = replicas[kill % 2]
            victim.wait_ready()
            victim.kill9()
            assert victim.revive()
        eventually(lambda: world.written() >= len(world.sent) and world.committed() >= len(world.sent), 40)
        for replica in replicas:
            replica.wait_ready()
    assert [replica.exit_code for replica in replicas] == [0, 0]
    tiers = Counter(event["agent_metadata"]["tier"] for event in world.assert_exactly_once())
    assert tiers["rules"] > tiers["model"] > 20


def test_a_replica_that_joins_and_one_that_leaves_in_the_middle_of_calls_double_nothing(world: World) -> None:
    world.faults(latency_ms=1500)
    first, second = world.enricher("enricher-0"), world.enricher("enricher-1")
    with running(first):
        world.produce(800)
        eventually(lambda: world.model_calls() > 5, 20)
        with running(second):
            world.produce(800)
            eventually(lambda: world.written() > 800, 30)
            assert first.stop() == 0
            world.produce(400)
            eventually(lambda: world.written() >= len(world.sent) and world.committed() >= len(world.sent), 40)
    assert second.exit_code == 0
    events = world.assert_exactly_once()
    assert {event["agent_metadata"]["tier"] for event in events} == {"rules", "model"}


def test_poison_goes_to_the_dead_letters_and_the_partitions_go_on(world: World) -> None:
    good = world.encoder.encode(next(world.traffic))
    poison = {
        "bad_magic": b"\x01" + good[1:],
        "unknown_schema_id": struct.pack(">bI", 0, UNKNOWN_SCHEMA_ID) + good[5:],
        "undecodable": good[:20],
        "trailing_bytes": good + b"\x00",
        "contract_violation": contract_break(world),
    }
    producer = KafkaProducer(world.kafka)
    for number, value in zip(range(200), itertools.cycle(poison.values()), strict=False):
        for event in itertools.islice(world.traffic, 10):
            producer.send(world.outgoing(event))
        producer.send(
            OutgoingRecord(world.source, b"poison", value, partition=number % len(world.partitions_of(world.source)))
        )
    assert producer.flush(20) == 0
    with running(world.enricher("enricher-0")):
        eventually(lambda: world.written() >= len(world.sent) and world.committed() >= len(world.sent), 40)
    world.assert_exactly_once()
    letters = dead_letters(world)
    assert Counter(letter["cause"] for letter in letters) == dict.fromkeys(poison, 40)
    assert all(letter["value"] == poison[letter["cause"]] for letter in letters)
    positions = {(letter["source_partition"], letter["source_offset"]) for letter in letters}
    inputs = {(record.partition, record.offset): record.value for record in world.read(world.source)}
    assert len(positions) == 200
    assert {inputs[position] for position in positions} == set(poison.values())


def test_without_a_model_the_fallback_decides_and_the_model_takes_over_again(world: World) -> None:
    world.faults(error_rate=1)
    with running(world.enricher("enricher-0")):
        broken = decide(world, 1_500)
        world.faults()
        # The breaker closes after probes that go well, which takes grey events; until then it is the reason.
        eventually(lambda: set(tiers := decide(world, 300)) == {RULES, MODEL} and tiers[MODEL] >= PROBES, 60)
        mended = decide(world, 1_500)
    # Attempts that began before the breaker opened may all end in it.
    assert {RULES} < set(broken) <= {RULES, ("fallback", "unavailable"), ("fallback", "breaker")}
    assert set(mended) == {RULES, MODEL}
    paid = [
        event["agent_metadata"] for event in world.assert_exactly_once() if event["agent_metadata"]["tier"] == "model"
    ]
    assert all(metadata["cost_microdollars"] > 0 and metadata["model_id"] for metadata in paid)


def decide(world: World, count: int) -> Counter[tuple[str, str | None]]:
    """Have some more events decided; returns by whom and why."""
    world.produce(count)
    eventually(lambda: world.committed() >= len(world.sent), 30)
    return Counter(tiers_of(world.decided(), world.sent[-count:], world))


def tiers_of(events: Sequence[dict[str, Any]], ids: Sequence[str], world: World) -> list[tuple[str, str | None]]:
    wanted, id_of = set(ids), field_getter(world.id_path)
    metadata = [event["agent_metadata"] for event in events if id_of(event) in wanted]
    return [(each["tier"], each["fallback_reason"]) for each in metadata]


def contract_break(world: World) -> bytes:
    """Return valid Avro that breaks the first rule of the contract that names a closed set."""
    contract = world.contracts.topic(world.source)
    rule = next(rule for rule in contract.rules if rule.one_of)
    parents, _, leaf = rule.field.rpartition(".")
    event = json.loads(json.dumps(next(world.traffic)))
    (field_getter(parents)(event) if parents else event)[leaf] = "no such value"
    return world.encoder.encode(event)


def dead_letters(world: World) -> list[dict[str, Any]]:
    topic = f"{world.source}.dlq"
    decoder = Decoder(world.registry, world.contracts.record(world.contracts.topic(topic).record))
    return [decoder.decode(record.value) for record in world.read(topic)]
