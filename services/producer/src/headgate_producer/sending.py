"""What events are prepared and sent with; with spans where an endpoint for them is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from headgate_producer.preparation import Preparation

if TYPE_CHECKING:
    from headgate_runtime.kafka.protocols import RecordProducer
    from headgate_schemas import RecordSchema, TopicContract

    from headgate_producer.config import StartedTraces
    from headgate_producer.preparation import ValueEncoder


class Sending(NamedTuple):
    """Makes records, and sends them."""

    preparation: Preparation
    producer: RecordProducer


def create_sending(
    topic: TopicContract, record: RecordSchema, encoder: ValueEncoder, producer: RecordProducer, tracing: StartedTraces
) -> Sending:
    """Wire preparation and producer, inside of ``spans_exported``.

    Args:
        topic: Where the events go.
        record: Newest version of its record.
        encoder: Encodes that record.
        producer: Sends.
        tracing: Which events are traced, if any.
    """
    if tracing.endpoint is None:
        return Sending(Preparation(topic, record, encoder), producer)
    # The command line, which has no other use for OpenTelemetry, starts sooner without it.
    from opentelemetry.trace import get_tracer  # noqa: PLC0415

    from headgate_producer.tracing import TracedPreparation, TracedProducer  # noqa: PLC0415

    tracer = get_tracer("headgate_producer")
    preparation = TracedPreparation(topic, record, encoder, tracer=tracer, ratio=tracing.sample_ratio)
    return Sending(preparation, TracedProducer(producer))
