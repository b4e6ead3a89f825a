"""The end of a trace: which snapshot holds the row of a sampled record."""

from __future__ import annotations

from functools import partial

import pytest
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.testing import MemoryBroker
from headgate_writer.testing import MemoryCatalog
from headgate_writer.tracing import TracedSink
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id

from .replica import Replica

PARENT_ID = "b7ad6b7169203331"
SAMPLED, UNSAMPLED = (f"00-0af7651916cd43dd8448eb211c80319c-{PARENT_ID}-{flags}".encode() for flags in ("01", "00"))


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic("events", 2)
    broker.create_topic("events.dlq", 1)
    return broker


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def replica(broker: MemoryBroker, exporter: InMemorySpanExporter) -> Replica:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    sink = partial(TracedSink, tracer=provider.get_tracer("test"), group="writer")
    return Replica(broker, MemoryCatalog(), make_sink=sink)


def send(broker: MemoryBroker, traceparent: bytes, value: bytes = b"good") -> None:
    headers = (("event-id", b"e1"), ("traceparent", traceparent))
    broker.append(OutgoingRecord("events", None, value, headers, partition=0))


def test_a_sampled_record_has_a_span_until_the_snapshot_that_holds_its_row(
    broker: MemoryBroker, replica: Replica, exporter: InMemorySpanExporter
) -> None:
    send(broker, UNSAMPLED)
    send(broker, SAMPLED)
    replica.step(4)
    assert exporter.get_finished_spans() == ()
    replica.step(2, seconds=5)
    [span] = exporter.get_finished_spans()
    assert span.parent is not None
    assert (span.name, format_span_id(span.parent.span_id)) == ("process events", PARENT_ID)
    told = span.attributes or {}
    assert (told["messaging.destination.partition.id"], told["messaging.kafka.offset"]) == ("0", 1)
    assert (told["headgate.event_id"], told["headgate.table"]) == ("e1", "lake.events")
    assert told["headgate.snapshot_id"] == str(replica.sink.info()["snapshot_id"])


def test_what_comes_while_a_batch_is_on_its_way_waits_for_the_next(
    broker: MemoryBroker, replica: Replica, exporter: InMemorySpanExporter
) -> None:
    send(broker, SAMPLED)
    replica.step(4)
    replica.table.faults.append("write")
    replica.step(seconds=5)
    send(broker, SAMPLED)
    replica.step(8, seconds=0.5)
    assert len(exporter.get_finished_spans()) == 1
    replica.step(8, seconds=5)
    first, second = ((span.attributes or {})["headgate.snapshot_id"] for span in exporter.get_finished_spans())
    assert first != second


def test_a_dead_letter_ends_a_span_with_its_cause(
    broker: MemoryBroker, replica: Replica, exporter: InMemorySpanExporter
) -> None:
    send(broker, SAMPLED, b"bad")
    replica.step(8, seconds=5)
    [span] = exporter.get_finished_spans()
    assert (span.attributes or {})["error.type"] == "undecodable"


def test_a_partition_that_is_lost_ends_its_spans_as_given_up(
    broker: MemoryBroker, replica: Replica, exporter: InMemorySpanExporter
) -> None:
    send(broker, SAMPLED)
    replica.step(4)
    replica.worker.lose(replica.consumer.assignment())
    [span] = exporter.get_finished_spans()
    assert (span.attributes or {})["headgate.given_up"] is True
