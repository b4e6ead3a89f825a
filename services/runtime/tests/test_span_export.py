"""Spans on their way out: to a receiver that takes them, that is away, that does not answer."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from headgate_runtime.config import TracingSettings
from headgate_runtime.testing.spans import span_receiver
from headgate_runtime.tracing.export import BATCH_SPANS, FLUSH_S, QUEUE_SPANS, SteadyExporter, let_out, span_provider
from headgate_runtime.tracing.spans import current_span, remote_context
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from pydantic import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

SAMPLED = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@contextmanager
def provider_for(endpoint: str, *, starts_traces: bool = True) -> Iterator[TracerProvider]:
    provider = span_provider(endpoint, service="enricher", instance="enricher-7", starts_traces=starts_traces)
    try:
        yield provider
    finally:
        let_out(provider)


def test_spans_arrive_with_their_parents_and_say_where_they_come_from() -> None:
    with span_receiver() as receiver:
        with provider_for(receiver.endpoint) as provider:
            tracer = provider.get_tracer("test")
            with current_span(tracer, "outer", {"headgate.decision": "allow"}, context=remote_context(SAMPLED)):
                tracer.start_span("inner").end()
        inner, outer = receiver.spans
    assert (outer.name, outer.parent_id, outer.trace_id) == ("outer", SAMPLED.decode()[36:52], SAMPLED.decode()[3:35])
    assert (inner.name, inner.parent_id, inner.trace_id) == ("inner", outer.span_id, outer.trace_id)
    assert outer.attributes == {"headgate.decision": "allow"}
    assert outer.resource["service.name"] == "enricher"
    assert outer.resource["service.instance.id"] == "enricher-7"
    assert outer.resource["service.version"]


def test_who_starts_no_traces_records_only_what_belongs_to_a_sampled_record() -> None:
    with span_receiver() as receiver:
        with provider_for(receiver.endpoint, starts_traces=False) as provider:
            tracer = provider.get_tracer("test")
            tracer.start_span("of an agent's library").end()
            tracer.start_span("of an unsampled record", remote_context(SAMPLED[:-1] + b"0")).end()
            tracer.start_span("of a sampled record", remote_context(SAMPLED)).end()
        assert [span.name for span in receiver.spans] == ["of a sampled record"]


def test_what_is_raised_inside_leaves_no_text_in_a_span() -> None:
    with span_receiver() as receiver:
        with provider_for(receiver.endpoint) as provider, pytest.raises(ValueError, match="secret"):  # noqa: SIM117
            with current_span(provider.get_tracer("test"), "failing", {}):
                raise ValueError("the card is secret")
        [span] = receiver.spans
    assert (span.attributes, span.events) == ({}, ())


def test_nobody_waits_for_an_endpoint_that_is_away_nor_for_one_that_never_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        away = f"http://127.0.0.1:{_closed_port()}"
        for endpoint in (away, f"http://127.0.0.1:{silent.getsockname()[1]}"):
            with provider_for(endpoint) as provider:
                tracer = provider.get_tracer("test")
                began_s = time.monotonic()
                for _ in range(QUEUE_SPANS + 2 * BATCH_SPANS):
                    tracer.start_span("lost").end()
                recorded_s = time.monotonic() - began_s
                began_s = time.monotonic()
            assert time.monotonic() - began_s < FLUSH_S + 1.0
            assert recorded_s < 3.0  # a wait for the endpoint would be a multiple of this
    assert [record for record in caplog.records if record.name.startswith("opentelemetry.exporter")] == []


class Broken(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE if spans else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is open."""


def test_lost_spans_are_told_of_once_in_a_while_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [0.0]
    exporter = SteadyExporter(Broken(), "http://collector", clock=lambda: now_s[0])
    with provider_for("http://127.0.0.1:9") as provider, caplog.at_level(logging.WARNING, "headgate_runtime"):
        span = provider.get_tracer("test").start_span("lost")
        for now_s[0] in (0.0, 1.0, 59.0, 61.0):
            exporter.export([span, span])  # type: ignore[list-item] - a recorded span is a readable one
    told = [record.getMessage() for record in caplog.records if "collector" in record.getMessage()]
    assert [line.split()[0] for line in told] == ["2", "6"]


def test_without_an_endpoint_the_sdk_is_not_even_imported() -> None:
    script = (
        "import sys\n"
        "from headgate_runtime.config import TracingSettings\n"
        "from headgate_runtime.tracing import spans_exported\n"
        "with spans_exported(TracingSettings(), service='enricher', instance='0'):\n"
        "    print(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "False"


def test_an_endpoint_is_a_url() -> None:
    with pytest.raises(ValidationError, match="endpoint"):
        TracingSettings(endpoint="collector:4318")


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
