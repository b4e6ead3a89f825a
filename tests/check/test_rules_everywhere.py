"""Rules hold wherever a topic is read, and what breaks one is told in the same words at every edge."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from headgate_enricher.assembly import StageAssembly
from headgate_enricher.budget.opening import open_budget
from headgate_enricher.intake import Intake, RefusedError
from headgate_enricher.profiles.opening import profiled
from headgate_enricher.reviews.app import build_worker
from headgate_processor.rows import Rows
from headgate_producer.preparation import Preparation
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.records import Record
from headgate_runtime.testing import MemoryRegistry
from headgate_schemas import Contracts, Violation, compile_rules
from headgate_writer.decode import BatchDecoder
from headgate_writer.schema import decoded_schema
from headgate_writer.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Callable

CONTRACTS = Contracts.load()
RAW = CONTRACTS.topic("raw-events")
RECORD = CONTRACTS.record(RAW.record)
COMMAND_LINE = "admin"  # shows people what is there, and decides nothing by it
READERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("account-profiles", "enricher"): profiled,
    ("budget-ledger", "enricher"): open_budget,
    ("decision-metrics", "writer"): Tables._feed,
    ("enriched-events", "enricher"): StageAssembly._intake,
    ("enriched-events", "processor"): Rows,
    ("enriched-events", "writer"): Tables._feed,
    ("raw-events", "enricher"): StageAssembly._intake,
    ("review-outcomes", "reviews"): build_worker,
    ("review-outcomes", "writer"): Tables._feed,
}


def test_each_service_that_reads_a_topic_with_rules_compiles_them_where_it_decodes() -> None:
    ruled = [topic for topic in CONTRACTS.topics.values() if topic.rules]
    reading = {(topic.topic, reader) for topic in ruled for reader in topic.consumers if reader != COMMAND_LINE}
    assert reading == set(READERS)
    for reader in READERS.values():
        source = inspect.getsource(reader)
        assert "Decoder(" in source
        assert "compile_rules(" in source or "compile_value_rules(" in source


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_type": "refund"}, "event_type must be one of transaction, login, page_view; it is a text of 6 char"),
        ({"event_timestamp": -5}, "event_timestamp must be a number at least 946684800000 and at most 4102444800000; "),
        ({"event_id": "x" * 203}, "event_id must have a length at least 1 and at most 128; it is a text of 203 char"),
    ],
)
def test_producer_enricher_and_writer_say_the_same_of_the_same_event(change: dict[str, Any], message: str) -> None:
    event = CONTRACTS.examples(RAW.record)["login_failure"] | change
    registry = MemoryRegistry()
    registry.register(RAW.subject, RECORD.text)
    encoder, decoder, rules = Encoder(registry, RAW.subject, RECORD), Decoder(registry, RECORD), compile_rules(RAW)
    record = Record(RAW.topic, 0, 0, 0, None, encoder.encode(event))

    at_producer = Preparation(RAW, RECORD, encoder).prepare(event)
    with pytest.raises(RefusedError) as at_enricher:
        Intake(decoder, rules).accept(record)
    _, rejected = BatchDecoder(decoder, rules, decoded_schema(RECORD), lambda: 0).decode_batch([record])

    assert isinstance(at_producer, Violation)
    assert at_producer.message == str(at_enricher.value) == rejected[0].message
    assert at_producer.message.startswith(message)
    assert at_producer.message.endswith(f"(rule {at_producer.rule})")
