"""Spans to an OTLP/HTTP receiver, on a thread of their own: whoever records them never waits, and never fails."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

QUEUE_SPANS: Final = 4096
BATCH_SPANS: Final = 512
EXPORT_EVERY_S: Final = 1.0
EXPORT_TIMEOUT_S: Final = 5.0
FLUSH_S: Final = 3.0
LOG_INTERVAL_S: Final = 60.0

# Not structlog's: a command line does not set that up, and its standard output is for its results.
_log = logging.getLogger(__name__)


class SteadyExporter(SpanExporter):
    """Tells of failures once in a while, with the number of spans lost since it did last.

    Args:
        exporter: Sends the spans.
        endpoint: Where it sends them.
        clock: Monotonic seconds.
    """

    def __init__(self, exporter: SpanExporter, endpoint: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._clock = clock
        self._lost = 0
        self._logged_s = float("-inf")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; what cannot be sent is lost."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            if self._clock() - self._logged_s >= LOG_INTERVAL_S:
                _log.warning("%d spans are lost: %s does not take them", self._lost, self._endpoint)
                self._logged_s, self._lost = self._clock(), 0
        return result

    def shutdown(self) -> None:
        """Stop."""
        self._exporter.shutdown()


@contextmanager
def exported(endpoint: str, *, service: str, instance: str, starts_traces: bool) -> Iterator[None]:
    """Make the process record spans, and export them until the end; once in a process. Takes what ``span_provider`` does."""
    provider = span_provider(endpoint, service=service, instance=instance, starts_traces=starts_traces)
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        let_out(provider)


def span_provider(endpoint: str, *, service: str, instance: str, starts_traces: bool) -> TracerProvider:
    """Make what records spans and exports them.

    Args:
        endpoint: Base URL of an OTLP/HTTP receiver.
        service: Name of the service.
        instance: Name of the replica.
        starts_traces: A span without a parent is recorded. Where it is not, only those are that belong to a sampled
            record, however many an agent's libraries would begin.
    """
    # What the exporter says of each attempt that failed is said here once in a while.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    url = f"{endpoint.rstrip('/')}/v1/traces"
    resource = Resource(
        {
            "service.namespace": "headgate",
            "service.name": service,
            "service.version": version("headgate-runtime"),  # the workspace has one version
            "service.instance.id": instance,
        }
    )
    sampler = ParentBased(ALWAYS_ON if starts_traces else ALWAYS_OFF)
    provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(
            SteadyExporter(OTLPSpanExporter(url, timeout=EXPORT_TIMEOUT_S), url),
            max_queue_size=QUEUE_SPANS,
            schedule_delay_millis=EXPORT_EVERY_S * 1000,
            max_export_batch_size=BATCH_SPANS,
            export_timeout_millis=EXPORT_TIMEOUT_S * 1000,
        )
    )
    return provider


def let_out(provider: TracerProvider) -> None:
    """Export what is left; an endpoint that does not answer holds up the end for moments only."""
    closing = threading.Thread(target=provider.shutdown, name="spans-flush", daemon=True)
    closing.start()
    closing.join(FLUSH_S)
    if closing.is_alive():
        _log.warning("spans are lost: the endpoint has not taken the last ones within %g s", FLUSH_S)
