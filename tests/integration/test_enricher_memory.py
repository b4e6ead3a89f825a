"""What is remembered after kills and moves is what the input says: real enrichers, and a restore of many keys in time."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from headgate_agent_risk.memory import remember
from headgate_agent_risk.policy import load_policy
from headgate_enricher.memory import MemoryCodec
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.kafka.compacted import read_compacted
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.state import StateStore
from headgate_runtime.testing import eventually

from tests.integration.enrichers import TOPICS, World, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers

Place = tuple[int, bytes]
KEPT_IN_MEMORY = "20"  # of some 150 keys: most have to wait on disk
MANY_KEYS = 50_000


class Remembering(World):
    """The world with a view on what is remembered."""

    @property
    def memory(self) -> str:
        return f"{self.name}.{TOPICS['memory_topic']}"

    def decoder_of(self, topic: str) -> Decoder:
        return Decoder(self.registry, self.contracts.record(self.contracts.topic(topic).record))

    def remembered(self) -> dict[Place, Any]:
        """The last committed memory of each partition and key."""
        decoder = self.decoder_of(self.memory)
        partitions = [place.partition for place in self.partitions_of(self.memory)]
        found = read_compacted(self.kafka, self.memory, partitions, 30)
        prefix = f"enrichers-{self.name}/risk/".encode()
        return {
            (partition, key.removeprefix(prefix)): json.loads(decoder.decode(record.value)["state"])
            for (partition, key), record in found.items()
        }

    def recomputed(self) -> dict[Place, Any]:
        """What should be remembered: the agent's function over the whole input."""
        policy, decoder = load_policy(), self.decoder_of(self.source)
        memories: dict[Place, Any] = {}
        for record in self.read(self.source):
            place = (record.partition, record.key or b"")
            memories[place] = remember(memories.get(place), decoder.decode(record.value), policy)
        return memories

    def all_decided(self) -> bool:
        return self.written() >= len(self.sent) and self.committed() >= len(self.sent)


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> Iterator[Remembering]:
    world = Remembering(topic_name("memory"), tmp_path, stack)
    world.model.start()
    world.model.wait_ready()
    yield world
    world.model.stop()


def test_memory_after_kills_and_moves_is_that_of_the_input(world: Remembering) -> None:
    world.faults(latency_ms=400, jitter=0.5)
    replicas = [world.enricher(f"enricher-{number}", MEMORY_KEYS=KEPT_IN_MEMORY) for number in range(2)]
    with running(*replicas):
        for kill in range(4):
            before = world.written()
            world.produce_in_transactions(3, 100)
            world.produce(300)
            eventually(lambda before=before: world.written() > before + 100, 60)
            victim = replicas[kill % 2]
            victim.wait_ready()
            victim.kill9()
            assert victim.revive()
        eventually(world.all_decided, 90)
        for replica in replicas:
            replica.wait_ready()
    world.assert_exactly_once()
    wanted = world.recomputed()
    assert len(wanted) > 100
    assert world.remembered() == wanted


def test_fifty_thousand_keys_are_restored_in_seconds(world: Remembering) -> None:
    contract = world.contracts.topic(world.memory)
    encoder = Encoder(world.registry, contract.subject, world.contracts.record(contract.record))
    codec = MemoryCodec("risk", encoder, world.decoder_of(world.memory))
    memory = {"v": 1, "events": 9, "seen_ms": 1_760_000_000_000, "devices": [1, 2], "countries": [3], "failed": None}
    producer = KafkaProducer(world.kafka)
    for number in range(MANY_KEYS):
        key, value = f"group/risk/user-{number}".encode(), codec.dump({**memory, "events": number})
        producer.send(OutgoingRecord(world.memory, key, value, partition=number % contract.partitions))
    assert producer.flush(60) == 0
    store = StateStore(
        topic=world.memory,
        codecs={"group/risk": codec},
        read=partial(read_range, world.kafka, timeout_s=60),
        capacity=MANY_KEYS // 2,
    )
    started = time.perf_counter()
    store.assign([TopicPartition(world.source, number) for number in range(contract.partitions)])
    seconds = time.perf_counter() - started
    assert store.in_memory + store.on_disk == MANY_KEYS
    assert store.on_disk > 0
    sample = store.of(TopicPartition(world.source, 1))[0].get(b"user-41")
    assert sample is not None
    assert sample["events"] == 41
    store.close()
    assert seconds < 20, "a restore in a rebalance must be short, also on a busy machine"
