"""Decided events, and works made of them, for tests of what reads them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, cast

from headgate_enricher.progress import PartitionProgress
from headgate_enricher.routing import Decider
from headgate_enricher.work import Partition, Work
from headgate_runtime.avro import Encoder
from headgate_runtime.records import Record, TopicPartition
from headgate_runtime.testing import MemoryRegistry
from headgate_schemas import Contracts

CONTRACTS = Contracts.load()
DECIDED = CONTRACTS.topic("enriched-events")
RECORD = CONTRACTS.record(DECIDED.record)
SOURCE = TopicPartition(DECIDED.topic, 1)
TRACEPARENT = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


@dataclass
class Named:
    """An agent, as far as records are concerned."""

    name: str = "risk"
    version: str = "today"


def registry() -> MemoryRegistry:
    """A registry with the schemas of all topics."""
    known = MemoryRegistry()
    for topic in CONTRACTS.topics.values():
        known.register(topic.subject, CONTRACTS.record(topic.record).text)
    return known


def decided(example: str, **metadata: Any) -> dict[str, Any]:
    """A decided event, with some of its ``agent_metadata`` otherwise."""
    event = copy.deepcopy(CONTRACTS.examples(RECORD.name)[example])
    event["agent_metadata"] |= metadata
    return event


def record_of(event: dict[str, Any], offset: int = 17, key: bytes | None = b"user-1") -> Record:
    value = Encoder(registry(), DECIDED.subject, RECORD).encode(event)
    headers = (("event-id", event["event_id"].encode()), TRACEPARENT, ("other", b"x"))
    return Record(*SOURCE, offset, 1_764_000_000_500, key, value, headers)


def work_of(event: dict[str, Any], agent: Named | None = None) -> Work:
    partition = Partition(SOURCE, PartitionProgress(), ())
    return Work(partition, record_of(event), event, 1e12, Decider(cast("Any", agent or Named()), 0))
