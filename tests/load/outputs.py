"""What came out: a reader that sees outputs as soon as they are committed, and a count of what was lost or doubled."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headgate_local.demo.verify import read_topic
from headgate_runtime.avro import Decoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.records import TopicPartition
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headgate_local.endpoints import Endpoints
    from headgate_schemas import TopicContract

SOURCE, OUTPUT, RESULTS = "raw-events", "enriched-events", "model-results"
READ_AT_ONCE = 5_000
POLL_S = 0.005
JOIN_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A committed output.

    Attributes:
        at_ms: When the reader got it, milliseconds since the epoch.
        arrived_ms: Timestamp of its input record.
        partition: Partition its input came from.
        tier: Who decided.
    """

    at_ms: float
    arrived_ms: int
    partition: int
    tier: str


class Reader:
    """Reads outputs as they are committed, from the end of the topic at its making."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._decode = _decoder(endpoints, OUTPUT).decode
        self._consumer = KafkaConsumer(
            KafkaSettings(bootstrap_servers=endpoints.bootstrap_servers), group_id=f"reader-{uuid.uuid4()}"
        )
        consumer = self._consumer
        consumer.subscribe([OUTPUT], on_assign=consumer.end_offsets, on_revoke=_ignore, on_lost=_ignore)
        partitions, deadline_s = Contracts.load().topic(OUTPUT).partitions, time.monotonic() + JOIN_TIMEOUT_S
        while len(consumer.assignment()) < partitions:
            if time.monotonic() > deadline_s:
                raise TimeoutError("the reader of the outputs got no partitions")
            consumer.poll(1, 0.1)

    def poll(self) -> Iterator[Seen]:
        """What was committed since the last call."""
        records = self._consumer.poll(READ_AT_ONCE, POLL_S)
        at_ms = time.time() * 1000
        for record in records:
            value = self._decode(record.value)
            way = value["processing_metadata"]
            yield Seen(at_ms, way["ingestion_time"], way["source_partition"], value["agent_metadata"]["tier"])

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


class Progress:
    """How many input records of a topic a group is past, by its committed offsets."""

    def __init__(self, endpoints: Endpoints, group: str) -> None:
        self._consumer = KafkaConsumer(KafkaSettings(bootstrap_servers=endpoints.bootstrap_servers), group_id=group)
        self._partitions = [TopicPartition(SOURCE, n) for n in range(Contracts.load().topic(SOURCE).partitions)]

    def done(self) -> int:
        """Records the group is past."""
        return sum(self._consumer.committed(self._partitions).values())

    def ends(self) -> dict[TopicPartition, int]:
        """The ends of the topic."""
        return self._consumer.end_offsets(self._partitions)

    def start_at(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Have the group, which has no member yet, start there."""
        self._consumer.commit(offsets)

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()


@dataclass
class Exactness:
    """The output topic held against the input topic, record by record.

    Attributes:
        inputs: Records in the source topic.
        outputs: Committed records in the output topic.
        duplicated: Outputs beyond the first of an input.
        missing: Inputs without an output.
        out_of_order: Outputs behind one of a later input of the same key.
        dead_letters: Records given up on.
        tiers: Outputs by who decided.
        reasons: Outputs of the fallback by its reason.
    """

    inputs: int = 0
    outputs: int = 0
    duplicated: int = 0
    missing: int = 0
    out_of_order: int = 0
    dead_letters: int = 0
    tiers: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str | None] = field(default_factory=Counter)

    def figures(self) -> dict[str, float]:
        """The counts as figures."""
        names = ("inputs", "outputs", "duplicated", "missing", "out_of_order", "dead_letters")
        return {name: getattr(self, name) for name in names}


def exactness(endpoints: Endpoints) -> Exactness:
    """Read both topics whole and compare them."""
    brokers = KafkaSettings(bootstrap_servers=endpoints.bootstrap_servers)
    positions = {(record.partition, record.offset) for record in read_topic(brokers, SOURCE)}
    result = Exactness(inputs=len(positions))
    seen: set[tuple[int, int]] = set()
    last: dict[bytes | None, int] = {}
    for key, value in decided(endpoints):
        way, decision = value["processing_metadata"], value["agent_metadata"]
        position = (way["source_partition"], way["source_offset"])
        result.outputs += 1
        result.duplicated += position in seen
        seen.add(position)
        result.out_of_order += last.get(key, -1) > position[1]
        last[key] = max(last.get(key, -1), position[1])
        result.tiers[decision["tier"]] += 1
        if decision["tier"] == "fallback":
            result.reasons[decision["fallback_reason"]] += 1
    result.missing = len(positions - seen)
    letters = _contract(SOURCE).dead_letters
    result.dead_letters = sum(1 for _ in read_topic(brokers, letters)) if letters else 0
    return result


def decided(endpoints: Endpoints) -> Iterator[tuple[bytes | None, dict[str, Any]]]:
    """Key and value of every committed output, in order per partition."""
    decode = _decoder(endpoints, OUTPUT).decode
    for record in read_topic(KafkaSettings(bootstrap_servers=endpoints.bootstrap_servers), OUTPUT):
        yield record.key, decode(record.value)


def kept_answers(endpoints: Endpoints) -> Counter[bytes | None]:
    """How often an answer of a model was kept, by what it answers: more than once means that it was paid for again."""
    brokers = KafkaSettings(bootstrap_servers=endpoints.bootstrap_servers)
    return Counter(record.key for record in read_topic(brokers, RESULTS))


def _decoder(endpoints: Endpoints, topic: str) -> Decoder:
    registry = ConfluentRegistry(RegistrySettings(url=endpoints.registry_url))
    return Decoder(registry, Contracts.load().record(_contract(topic).record))


def _contract(topic: str) -> TopicContract:
    return Contracts.load().topic(topic)


def _ignore(_: object) -> None:
    """Nothing to finish."""
