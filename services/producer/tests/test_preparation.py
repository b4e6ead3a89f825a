from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from headgate_producer.preparation import Preparation
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.tracing import is_sampled, parse_traceparent
from headgate_schemas import RecordSchema, TopicContract, Violation

if TYPE_CHECKING:
    from headgate_runtime.testing import MemoryRegistry


@pytest.fixture
def preparation(registry: MemoryRegistry, topic: TopicContract, record: RecordSchema) -> Preparation:
    return Preparation(topic, record, Encoder(registry, topic.subject, record))


def test_a_record_has_the_contracts_key_the_event_id_and_a_trace(
    preparation: Preparation, event: dict[str, Any], registry: MemoryRegistry, record: RecordSchema
) -> None:
    prepared = preparation.prepare(event)

    assert isinstance(prepared, OutgoingRecord)
    assert (prepared.topic, prepared.key, prepared.timestamp_ms) == ("raw-events", b"u-1", None)
    assert dict(prepared.headers)["event-id"] == b"e-1"
    assert parse_traceparent(prepared.headers) is not None
    decoded = Decoder(registry, record).decode(prepared.value)
    assert decoded["event_timestamp"] == event["event_timestamp"]
    assert decoded["payload"]["attributes"]["amount"] == 12.5
    assert decoded["payload"]["attributes"]["note"] is None


def test_a_given_trace_is_passed_on_as_it_is_and_a_new_one_asks_nobody_to_record_it(
    preparation: Preparation, event: dict[str, Any]
) -> None:
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    given, new = preparation.prepare(event, parent), preparation.prepare(event)

    assert isinstance(given, OutgoingRecord)
    assert isinstance(new, OutgoingRecord)
    assert dict(given.headers)["traceparent"] == parent
    assert not is_sampled(new.headers)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"event_timestamp": 1.5}, "schema_type"),
        ({"surprise": 1}, "schema_unknown_field"),
        ({"event_type": "refund"}, "event_type_known"),
        ({"event_id": ""}, "event_id_present"),
        ({"event_id": "\ud800"}, "schema_encoding"),
        ({"event_timestamp": 1_800_000_000}, "event_timestamp_plausible"),
    ],
)
def test_a_broken_event_is_refused_by_the_rule_it_breaks(
    preparation: Preparation, event: dict[str, Any], change: dict[str, Any], rule: str
) -> None:
    violation = preparation.prepare({**event, **change})

    assert isinstance(violation, Violation)
    assert violation.rule == rule


def test_what_breaks_a_rule_is_sent_on_where_the_contract_quarantines_it_and_what_fits_no_schema_is_not(
    registry: MemoryRegistry, topic: TopicContract, record: RecordSchema, event: dict[str, Any]
) -> None:
    quarantining = topic.model_copy(update={"on_violation": "quarantine"})
    preparation = Preparation(quarantining, record, Encoder(registry, topic.subject, record))

    sent = preparation.prepare({**event, "event_type": "refund"})
    refused = preparation.prepare({**event, "event_type": 5})

    assert isinstance(sent, OutgoingRecord)
    assert Decoder(registry, record).decode(sent.value)["event_type"] == "refund"
    assert isinstance(refused, Violation)
    assert refused.message == "event_type must be of type string; it is a number (rule schema_type)"


def test_iso_times_become_milliseconds_and_the_given_event_stays_as_it_was(
    preparation: Preparation, event: dict[str, Any]
) -> None:
    given = {**event, "event_timestamp": "2027-01-15T08:00:00+00:00"}

    normalised = preparation.normalise(given)

    assert normalised == event
    assert given["event_timestamp"] == "2027-01-15T08:00:00+00:00"


@pytest.mark.parametrize("text", ["yesterday", "2027-01-15T08:00:00", ""])
def test_other_texts_are_refused_with_the_forms_that_are_taken(
    preparation: Preparation, event: dict[str, Any], text: str
) -> None:
    violation = preparation.normalise({**event, "event_timestamp": text})

    assert isinstance(violation, Violation)
    assert (violation.field, violation.rule) == ("event_timestamp", "schema_type")
    assert "ISO 8601" in violation.message
