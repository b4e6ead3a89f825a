from __future__ import annotations

import pytest
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.deadletters import DeadLetters
from headgate_runtime.records import Record
from headgate_runtime.testing import MemoryRegistry
from headgate_schemas import Contracts, RecordSchema

LARGE = 1_000_000
TOO_LARGE = " The record is too large to be kept here: read it at its position in the source."
TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


@pytest.fixture
def record() -> RecordSchema:
    return Contracts.load().record("dead_letter")


@pytest.fixture
def registry(record: RecordSchema) -> MemoryRegistry:
    registry = MemoryRegistry()
    registry.register("events.dlq-value", record.text)
    return registry


def test_the_record_goes_in_whole_with_cause_and_position(record: RecordSchema, registry: MemoryRegistry) -> None:
    letters = DeadLetters(
        Encoder(registry, "events.dlq-value", record),
        "events.dlq",
        "enricher",
        max_bytes=LARGE,
        clock=lambda: 1_700_000_000.5,
    )
    source = Record("events", 3, 42, 1_699_999_999_999, b"key", b"\xff\x00", (TRACE, ("none", None)))
    letter = letters.record(source, cause="contract_violation", message="below 0", field="a.b", rule="not_negative")
    assert letter.topic == "events.dlq"
    assert letter.key == b"events/3/42"
    assert letter.headers == (TRACE,)
    assert Decoder(registry, record).decode(letter.value) == {
        "cause": "contract_violation",
        "message": "below 0",
        "field": "a.b",
        "rule": "not_negative",
        "service": "enricher",
        "failed_at": 1_700_000_000_500,
        "source_topic": "events",
        "source_partition": 3,
        "source_offset": 42,
        "source_timestamp": 1_699_999_999_999,
        "schema_id": None,
        "key": b"key",
        "value": b"\xff\x00",
        "headers": [{"name": "traceparent", "value": TRACE[1]}, {"name": "none", "value": None}],
    }


@pytest.mark.parametrize(("schema_id", "stored"), [(7, 7), (2**31, -(2**31)), (2**32 - 1, -1)])
def test_any_four_bytes_of_a_foreign_frame_fit_the_schema_id(
    record: RecordSchema, registry: MemoryRegistry, schema_id: int, stored: int
) -> None:
    letters = DeadLetters(Encoder(registry, "events.dlq-value", record), "events.dlq", "writer", max_bytes=LARGE)
    letter = letters.record(Record("events", 0, 0, 0, None, None), cause="x", message="y", schema_id=schema_id)
    assert Decoder(registry, record).decode(letter.value)["schema_id"] == stored


@pytest.mark.parametrize(
    ("value", "key", "kept"),
    [
        (b"v" * 300, b"key", ("bad", b"v" * 300, b"key", 1)),
        (b"v" * 900, b"key", ("bad" + TOO_LARGE, None, b"key", 1)),
        (b"v" * 300, b"k" * 900, ("bad" + TOO_LARGE, None, None, 0)),
    ],
)
def test_a_letter_no_broker_would_take_goes_without_content(
    record: RecordSchema,
    registry: MemoryRegistry,
    value: bytes,
    key: bytes,
    kept: tuple[str, bytes | None, bytes | None, int],
) -> None:
    letters = DeadLetters(Encoder(registry, "events.dlq-value", record), "events.dlq", "writer", max_bytes=800)
    letter = letters.record(Record("events", 3, 42, 0, key, value, (TRACE,)), cause="undecodable", message="bad")
    assert letter.key == b"events/3/42"
    assert len(letter.value or b"") <= 800
    told = Decoder(registry, record).decode(letter.value)
    assert (told["message"], told["value"], told["key"], len(told["headers"])) == kept
