"""The shipped contracts' tables, opened for real: which topics share a sink, and what becomes of what cannot be a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from headgate_runtime.avro import Encoder
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import Record
from headgate_schemas import Contracts

from .opened import registered, tables_in

if TYPE_CHECKING:
    from pathlib import Path

    from headgate_runtime.testing.registry import MemoryRegistry
    from headgate_writer.feed import Feed
    from headgate_writer.tables import Tables

CONTRACTS = Contracts.load()


@pytest.fixture
def registry() -> MemoryRegistry:
    return registered(CONTRACTS)


@pytest.fixture
def tables(registry: MemoryRegistry, tmp_path: Path) -> Tables:
    return tables_in(tmp_path, CONTRACTS, registry)


def record(feed: Feed, value: bytes | None, offset: int = 0) -> Record:
    return Record(feed.topic, 0, offset, 1_764_000_000_000, b"key", value, (("h", None),))


def test_every_stored_topic_has_its_table_and_topics_of_one_table_share_a_sink(tables: Tables) -> None:
    sinks = {topic: tables.open(topic) for topic in CONTRACTS.stored}
    by_table = {sink.parts.table: list(sink.feeds) for sink in sinks.values()}
    assert set(by_table) == {
        "lakehouse.enriched_events",
        "lakehouse.dead_letters",
        "lakehouse.review_outcomes",
        "lakehouse.decision_metrics",
    }
    assert by_table["lakehouse.dead_letters"] == [topic for topic in CONTRACTS.stored if topic.endswith(".dlq")]
    for name in by_table:
        assert tables.catalog.load_table(name).schema().fields


@pytest.mark.parametrize("topic", CONTRACTS.stored)
def test_every_example_of_a_stored_record_is_a_row(tables: Tables, registry: MemoryRegistry, topic: str) -> None:
    feed, contract = tables.open(topic).feeds[topic], CONTRACTS.topic(topic)
    encoder = Encoder(registry, contract.subject, CONTRACTS.record(contract.record))
    examples = CONTRACTS.examples(contract.record).values()
    rows, rejected = feed.decode([record(feed, encoder.encode(example)) for example in examples])
    assert rejected == []
    assert rows.num_rows == len(examples)


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (None, "tombstone"),
        (b"", "bad_magic"),
        (b"\x01\x00\x00\x00\x01x", "bad_magic"),
        (b"\x00\x00\x00\xff\xffx", "unknown_schema_id"),
        (b"\x00\x00\x00\x00\x02", "schema_not_storable"),  # of another record
    ],
)
@pytest.mark.parametrize("topic", ["enriched-events", "raw-events.dlq"])
def test_a_record_without_a_usable_value_is_a_dead_letter_with_its_cause(
    tables: Tables, topic: str, value: bytes | None, cause: str
) -> None:
    feed = tables.open(topic).feeds[topic]
    rows, [reject] = feed.decode([record(feed, value, 7)])
    assert reject.cause == cause
    if not feed.in_place:
        assert rows.num_rows == 0
        assert feed.letter(reject).topic == "enriched-events.dlq"
        return
    row: dict[str, Any] = rows.to_pylist()[0]
    assert (row["cause"], row["value"], row["key"]) == (cause, value, b"key")
    assert (row["source_topic"], row["source_partition"], row["source_offset"]) == (topic, 0, 7)
    assert (row["_topic"], row["_kafka_partition"], row["_offset"]) == (topic, 0, 7)


def test_a_letter_in_place_keeps_a_value_of_any_size(tables: Tables) -> None:
    feed = tables.open("raw-events.dlq").feeds["raw-events.dlq"]
    rows, _ = feed.decode([record(feed, b"x" * 3_000_000)])
    assert rows["value"].to_pylist() == [b"x" * 3_000_000]


def test_a_topic_without_a_table_is_refused(tables: Tables) -> None:
    with pytest.raises(ConfigurationError, match="raw-events: the contract names no table"):
        tables.open("raw-events")
