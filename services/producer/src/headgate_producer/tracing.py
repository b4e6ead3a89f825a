"""The start of a trace: one span an event that is sampled, from its hand-over to the broker's acknowledgement."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from headgate_runtime.records import OutgoingRecord
from headgate_runtime.tracing import TRACEPARENT, is_sampled, with_traceparent
from headgate_runtime.tracing.spans import fail, identify, messaging, remote_context, traceparent_of
from headgate_schemas import Violation
from opentelemetry.trace import Span, SpanKind

from headgate_producer.preparation import Preparation

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.errors import HeadgateError
    from headgate_runtime.kafka.protocols import OnDelivery, OnOffset, RecordProducer
    from headgate_schemas import RecordSchema, TopicContract
    from opentelemetry.trace import Tracer

    from headgate_producer.preparation import ValueEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRecord(OutgoingRecord):
    """A sampled record with the span that its traceparent names; one that is never sent leaves no span."""

    span: Span


class TracedPreparation(Preparation):
    """Makes records, and begins the spans of those that are sampled; safe on any number of threads.

    Args:
        topic: Its rules, key and event id.
        record: Newest version of its record.
        encoder: Encodes that record.
        tracer: Begins spans.
        ratio: Share of the events without a trace of their own that are sampled, 0 to 1.
        chance: Gives a number from 0 to below 1.
    """

    def __init__(
        self,
        topic: TopicContract,
        record: RecordSchema,
        encoder: ValueEncoder,
        *,
        tracer: Tracer,
        ratio: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(topic, record, encoder)
        self._tracer = tracer
        self._ratio = ratio
        self._chance = chance
        self._attributes = messaging("send", self.topic)

    def prepare(self, event: dict[str, Any], parent: bytes | None = None) -> OutgoingRecord | Violation:
        """Check and encode an event; see ``Preparation``. A parent's own decision to sample stands."""
        record = super().prepare(event, parent)
        if isinstance(record, Violation):
            return record
        sampled = self._chance() < self._ratio if parent is None else is_sampled(((TRACEPARENT, parent),))
        return self._traced(record, parent) if sampled else record

    def _traced(self, record: OutgoingRecord, parent: bytes | None) -> TracedRecord:
        span = self._tracer.start_span(
            f"send {self.topic}", remote_context(parent), SpanKind.PRODUCER, self._attributes
        )
        identify(span, record.headers)
        return TracedRecord(
            record.topic,
            record.key,
            record.value,
            with_traceparent(record.headers, traceparent_of(span)),
            record.partition,
            record.timestamp_ms,
            span=span,
        )


class TracedProducer:
    """A ``RecordProducer`` that ends the spans of sampled records with the reports of their delivery."""

    def __init__(self, producer: RecordProducer) -> None:
        self._producer = producer
        self.poll = producer.poll
        self.flush = producer.flush
        self.outstanding = producer.outstanding
        self.refusal = producer.refusal
        self.close = producer.close

    def send(
        self, record: OutgoingRecord, on_delivery: OnDelivery | None = None, on_offset: OnOffset | None = None
    ) -> None:
        """Queue a record; see ``RecordProducer``."""
        if isinstance(record, TracedRecord) and on_delivery is not None:
            on_delivery = partial(_delivered, record.span, on_delivery)
        self._producer.send(record, on_delivery, on_offset)


def _delivered(span: Span, on_delivery: OnDelivery, error: HeadgateError | None) -> None:
    if error is not None:
        fail(span, type(error).__name__)
    span.end()
    on_delivery(error)
