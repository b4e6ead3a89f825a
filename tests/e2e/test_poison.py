"""Poison among good events, through the whole platform: the poison is kept with its cause, the good events pass."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from headgate_agent_risk.generator import generate
from headgate_local.demo import lakehouse
from headgate_local.demo.verify import read_topic
from headgate_local.platform import Platform, Replicas
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.testing import eventually
from headgate_schemas import Contracts

from tests.e2e.poison import POISON, UNKNOWN_SCHEMA_ID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOD = 5_000
EACH_KIND = 40
DEADLINE_S = 120.0
CONTRACTS = Contracts.load()
RAW = CONTRACTS.topic("raw-events")
TABLE = "lakehouse.enriched_events"


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with Platform(tmp_path, services=(Replicas("enricher"), Replicas("writer"))) as running:
        yield running


def test_poison_is_kept_with_cause_and_bytes_while_good_events_pass(platform: Platform) -> None:
    stack = platform.stack
    registry = ConfluentRegistry(RegistrySettings(url=stack.registry_url))
    encoder = Encoder(registry, RAW.subject, CONTRACTS.record(RAW.record))
    sent = send(stack.bootstrap_servers, encoder)

    eventually(lambda: rows(platform) >= GOOD, DEADLINE_S)
    eventually(lambda: len(dead_letters(stack.bootstrap_servers, registry)) >= len(sent), DEADLINE_S)
    letters = dead_letters(stack.bootstrap_servers, registry)

    assert len(letters) == len(POISON) * EACH_KIND
    assert {letter["value"] for letter in letters} == set(sent)
    assert Counter(letter["cause"] for letter in letters) == {cause: EACH_KIND for _, cause in POISON.values()}
    originals = {
        (r.partition, r.offset): r.value
        for r in read_topic(KafkaSettings(bootstrap_servers=stack.bootstrap_servers), RAW.topic)
    }
    for letter in letters:
        assert letter["cause"] == sent[letter["value"]]
        assert originals[letter["source_partition"], letter["source_offset"]] == letter["value"]
        assert letter["source_topic"] == RAW.topic
        if letter["cause"] == "contract_violation":
            assert (letter["field"], letter["rule"]) == ("event_type", "event_type_known")
        if letter["cause"] == "unknown_schema_id":
            assert letter["schema_id"] == UNKNOWN_SCHEMA_ID
    table = lakehouse.open_table(stack.catalog, TABLE)
    assert table is not None
    ids = [row["event_id"] for row in lakehouse.rows(table)]
    assert len(ids) == len(set(ids)) == GOOD


def send(bootstrap_servers: str, encoder: Encoder) -> dict[bytes, str]:
    """Send the good events with the poison spread among them; returns the cause of each poison by its bytes."""
    now_ms = time.time_ns() // 1_000_000
    total = GOOD + len(POISON) * EACH_KIND
    events = [event for event, _ in generate(seed=11, events=total, start_ms=now_ms - 60_000, end_ms=now_ms)]
    kinds = [kind for kind in POISON for _ in range(EACH_KIND)]
    every = total // len(kinds)
    poison: dict[bytes, str] = {}
    failures: list[Any] = []
    producer = KafkaProducer(KafkaSettings(bootstrap_servers=bootstrap_servers))
    for index, event in enumerate(events):
        value = encoder.encode(event)
        if index % every == 0 and kinds:
            spoil, cause = POISON[kinds.pop()]
            value = spoil(event, encoder)
            poison[value] = cause
        key = event["payload"]["attributes"]["user_id"].encode()
        record = OutgoingRecord(RAW.topic, key, value)
        producer.send(record, lambda error: failures.append(error) if error else None)
    assert producer.flush(30) == 0
    producer.close()
    assert not failures
    assert not kinds
    return poison


def rows(platform: Platform) -> int:
    return lakehouse.count_rows(lakehouse.open_table(platform.stack.catalog, TABLE))


def dead_letters(bootstrap_servers: str, registry: ConfluentRegistry) -> list[dict[str, Any]]:
    assert RAW.dead_letters is not None
    decoder = Decoder(registry, CONTRACTS.record("dead_letter"))
    return [
        decoder.decode(record.value)
        for record in read_topic(KafkaSettings(bootstrap_servers=bootstrap_servers), RAW.dead_letters)
    ]
