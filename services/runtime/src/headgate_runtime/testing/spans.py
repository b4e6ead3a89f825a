"""A receiver of spans: a real HTTP server that reads what OTLP exporters send."""

from __future__ import annotations

import gzip
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it came over the wire.

    Attributes:
        service: The resource's service.name.
        name: The span's name.
        kind: Its kind's number in OTLP: 1 internal, 3 client, 4 producer, 5 consumer.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        parent_id: The same of its parent; empty for the first of a trace.
        attributes: By name.
        events: Names of its events.
        event_attributes: Names of the attributes of its events.
        failed: Its status is an error.
        start_ns: When it began, nanoseconds since the epoch.
        end_ns: When it ended.
        resource: Attributes of its resource.
    """

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, Any]
    events: tuple[str, ...]
    event_attributes: frozenset[str]
    failed: bool
    start_ns: int
    end_ns: int
    resource: Mapping[str, Any]


@dataclass
class SpanReceiver:
    """What was received until now.

    Attributes:
        endpoint: Base URL for exporters.
        spans: The spans, in the order they came.
    """

    endpoint: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)

    def named(self, prefix: str) -> list[ReceivedSpan]:
        """The spans whose names begin so."""
        return [span for span in list(self.spans) if span.name.startswith(prefix)]

    def take(self, body: bytes) -> None:
        """Read one request."""
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _values(part.resource.attributes)
            for scope in part.scope_spans:
                self.spans += [_received(span, resource) for span in scope.spans]


@contextmanager
def span_receiver() -> Iterator[SpanReceiver]:
    """Receive spans on a free port of 127.0.0.1."""
    receiver = SpanReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's own name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, name="span-receiver", daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def _received(span: Any, resource: Mapping[str, Any]) -> ReceivedSpan:
    return ReceivedSpan(
        service=resource.get("service.name", ""),
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_values(span.attributes),
        events=tuple(event.name for event in span.events),
        event_attributes=frozenset(each.key for event in span.events for each in event.attributes),
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        resource=resource,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)
