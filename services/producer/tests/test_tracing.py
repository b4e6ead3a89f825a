"""Where a trace starts: which events have a span, whose child it is, and when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from headgate_producer.config import Settings
from headgate_producer.preparation import Preparation
from headgate_producer.sending import create_sending
from headgate_producer.tracing import TracedPreparation, TracedProducer, TracedRecord
from headgate_runtime.avro import Encoder
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.testing import MemoryBroker, MemoryProducer, MemoryRegistry
from headgate_runtime.tracing import is_sampled, parse_traceparent
from headgate_schemas import Violation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

if TYPE_CHECKING:
    from headgate_runtime.errors import HeadgateError
    from headgate_schemas import RecordSchema, TopicContract

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = (f"00-{TRACE_ID}-{SPAN_ID}-{flags}".encode() for flags in ("01", "00"))


class Bench:
    """A preparation that samples every fourth of the events without a trace, and a producer in memory."""

    def __init__(
        self, topic: TopicContract, record: RecordSchema, registry: MemoryRegistry, broker: MemoryBroker
    ) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.chance = 0.0
        self.preparation = TracedPreparation(
            topic,
            record,
            Encoder(registry, topic.subject, record),
            tracer=provider.get_tracer("test"),
            ratio=0.25,
            chance=lambda: self.chance,
        )
        self.producer = TracedProducer(MemoryProducer(broker))
        self.reports: list[HeadgateError | None] = []

    def prepare(self, event: dict[str, Any], parent: bytes | None = None) -> OutgoingRecord:
        record = self.preparation.prepare(event, parent)
        assert isinstance(record, OutgoingRecord)
        return record

    def send(self, record: OutgoingRecord) -> None:
        self.producer.send(record, self.reports.append)
        self.producer.poll()


@pytest.fixture
def bench(topic: TopicContract, record: RecordSchema, registry: MemoryRegistry, broker: MemoryBroker) -> Bench:
    return Bench(topic, record, registry, broker)


def test_a_sampled_event_has_a_span_until_the_broker_has_it_and_its_header_names_the_span(
    bench: Bench, broker: MemoryBroker, event: dict[str, Any]
) -> None:
    record = bench.prepare(event)
    assert bench.exporter.get_finished_spans() == ()
    bench.send(record)

    [span] = bench.exporter.get_finished_spans()
    context = span.get_span_context()
    assert context is not None
    assert (span.name, span.kind, span.parent) == ("send raw-events", SpanKind.PRODUCER, None)
    assert dict(span.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "raw-events",
        "headgate.event_id": "e-1",
    }
    [stored] = broker.records("raw-events")
    named = f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-"
    [header] = [value or b"" for name, value in stored.headers if name == "traceparent"]
    assert header.decode().startswith(named)
    assert is_sampled(stored.headers)
    assert bench.reports == [None]


def test_an_event_beyond_the_ratio_has_no_span_and_a_header_that_says_so(bench: Bench, event: dict[str, Any]) -> None:
    bench.chance = 0.25
    record = bench.prepare(event)
    bench.send(record)
    assert not isinstance(record, TracedRecord)
    assert parse_traceparent(record.headers) is not None
    assert not is_sampled(record.headers)
    assert bench.exporter.get_finished_spans() == ()


@pytest.mark.parametrize("chance", [0.0, 0.9])
def test_the_decision_of_whoever_began_the_trace_stands(bench: Bench, event: dict[str, Any], chance: float) -> None:
    bench.chance = chance
    bench.send(bench.prepare(event, SAMPLED))
    unsampled = bench.prepare(event, UNSAMPLED)
    bench.send(unsampled)

    [span] = bench.exporter.get_finished_spans()
    assert span.parent is not None
    assert (format_trace_id(span.parent.trace_id), format_span_id(span.parent.span_id)) == (TRACE_ID, SPAN_ID)
    assert dict(unsampled.headers)["traceparent"] == UNSAMPLED


def test_an_event_that_is_not_delivered_has_a_span_that_says_why(
    topic: TopicContract, record: RecordSchema, registry: MemoryRegistry, event: dict[str, Any]
) -> None:
    small = MemoryBroker(max_record_bytes=10)
    small.create_topic(topic.topic)
    bench = Bench(topic, record, registry, small)
    bench.send(bench.prepare(event))
    [span] = bench.exporter.get_finished_spans()
    assert not span.status.is_ok
    assert (span.attributes or {})["error.type"] == type(bench.reports[0]).__name__ == "RejectedError"


def test_an_event_that_is_refused_or_never_sent_leaves_no_span(bench: Bench, event: dict[str, Any]) -> None:
    assert isinstance(bench.preparation.prepare({**event, "event_type": "refund"}), Violation)
    bench.prepare(event)
    assert bench.exporter.get_finished_spans() == ()


def test_without_an_endpoint_nothing_is_put_around_preparation_and_producer(
    topic: TopicContract, record: RecordSchema, registry: MemoryRegistry, broker: MemoryBroker
) -> None:
    producer, encoder = MemoryProducer(broker), Encoder(registry, topic.subject, record)
    plain = create_sending(topic, record, encoder, producer, Settings().tracing)
    assert (type(plain.preparation), plain.producer) == (Preparation, producer)
    tracing = Settings.model_validate({"tracing": {"endpoint": "http://127.0.0.1:4318"}}).tracing
    traced = create_sending(topic, record, encoder, producer, tracing)
    assert isinstance(traced.preparation, TracedPreparation)
    assert isinstance(traced.producer, TracedProducer)
