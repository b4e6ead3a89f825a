from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from headgate_runtime.avro import Decoder
from headgate_runtime.testing import MemoryBroker, MemoryRegistry
from headgate_schemas import Contracts, RecordSchema, TopicContract

if TYPE_CHECKING:
    from pathlib import Path

Stored = Callable[[], list[dict[str, Any]]]

CDNOW_HEADER = " customer_id  date number_of_cds  dollar_value\n"


@pytest.fixture(scope="session")
def contracts() -> Contracts:
    return Contracts.load()


@pytest.fixture(scope="session")
def topic(contracts: Contracts) -> TopicContract:
    return contracts.topic("raw-events")


@pytest.fixture(scope="session")
def record(contracts: Contracts, topic: TopicContract) -> RecordSchema:
    return contracts.record(topic.record)


@pytest.fixture
def event() -> dict[str, Any]:
    return {
        "event_id": "e-1",
        "event_type": "transaction",
        "source_system": "shop",
        "event_timestamp": 1_800_000_000_000,
        "payload": {"attributes": {"user_id": "u-1", "amount": 12.5, "currency": "EUR"}},
    }


@pytest.fixture
def cdnow_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a purchase log in the public file's layout: customer, date, number, value."""

    def write(*rows: str, name: str = "cdnow.txt") -> Path:
        path = tmp_path / name
        path.write_text(CDNOW_HEADER + "".join(f" {row}\n" for row in rows))
        return path

    return write


@pytest.fixture
def broker(topic: TopicContract) -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic(topic.topic, 4)
    return broker


@pytest.fixture
def registry(topic: TopicContract, record: RecordSchema) -> MemoryRegistry:
    registry = MemoryRegistry()
    registry.register(topic.subject, record.text)
    return registry


@pytest.fixture
def stored(broker: MemoryBroker, registry: MemoryRegistry, topic: TopicContract, record: RecordSchema) -> Stored:
    """Every event in the topic, decoded."""
    decoder = Decoder(registry, record)
    return lambda: [decoder.decode(found.value) for found in broker.records(topic.topic)]
