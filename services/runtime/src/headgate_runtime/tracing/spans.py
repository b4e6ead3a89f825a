"""Between W3C headers and OpenTelemetry's spans; needs its API alone."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

from headgate_runtime.tracing.headers import EVENT_ID, find_traceparent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from headgate_runtime.records import Headers, Record

ERROR_TYPE: Final = "error.type"


def remote_context(traceparent: bytes | None) -> Context:
    """Return the context whose span a valid traceparent names; without one, a context that begins a new trace."""
    if traceparent is None:
        return Context()
    _, trace_id, span_id, flags = traceparent.decode().split("-")[:4]
    remote = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(remote), Context())


def traceparent_of(span: Span) -> bytes:
    """Return the traceparent that makes others go on from a span."""
    own = span.get_span_context()
    return f"00-{format_trace_id(own.trace_id)}-{format_span_id(own.span_id)}-{own.trace_flags:02x}".encode()


@contextmanager
def current_span(
    tracer: Tracer,
    name: str,
    attributes: Mapping[str, AttributeValue],
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    context: Context | None = None,
) -> Iterator[Span]:
    """Record a span around a block, and none of the text that it raises, which may quote a payload.

    Args:
        tracer: Begins the span.
        name: Its name.
        attributes: Its attributes.
        kind: Its kind.
        context: Holds its parent; None takes the current span.
    """
    with tracer.start_as_current_span(
        name, context, kind, attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        yield span


def fail(span: Span, kind: str) -> None:
    """Mark a span as failed.

    Args:
        span: The span.
        kind: Code of the failure, one of few.
    """
    span.set_attribute(ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR))


def begin_processing(tracer: Tracer, record: Record, *, group: str, start_ns: int) -> Span:
    """Begin the span of a sampled record in the service that consumes it, below the span its header names.

    Args:
        tracer: Begins the span.
        record: The record.
        group: Consumer group.
        start_ns: When the record arrived, nanoseconds since the epoch.
    """
    attributes = {
        **messaging("process", record.topic),
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
        "messaging.consumer.group.name": group,
    }
    parent = remote_context(find_traceparent(record.headers))
    span = tracer.start_span(f"process {record.topic}", parent, SpanKind.CONSUMER, attributes, start_time=start_ns)
    identify(span, record.headers)
    return span


def identify(span: Span, headers: Headers) -> None:
    """Say in a span which event it is about, where the headers of its record tell."""
    for name, value in headers:
        if name == EVENT_ID and value is not None:
            span.set_attribute("headgate.event_id", value.decode(errors="replace"))


def messaging(operation: str, topic: str) -> dict[str, AttributeValue]:
    """Return the attributes of a span about a record, as the messaging semantic conventions name them."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }
