"""A real OpenTelemetry Collector on the tree's configuration: what passes it, and what does not."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headgate_local.http_ready import http_not_ready
from headgate_local.ports import HOST
from headgate_local.processes import ProcessSpec, ServiceProcess
from headgate_runtime.testing import eventually
from headgate_runtime.testing.spans import span_receiver
from headgate_runtime.tracing.export import span_provider

from tests.check.queries import ROOT
from tests.integration.enrichers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headgate_runtime.testing.spans import ReceivedSpan

OTEL = ROOT / "deploy" / "observability" / "otel"
TIMEOUT_S = 30.0
KEPT: dict[str, str | int] = {"headgate.event_id": "event-1", "gen_ai.usage.input_tokens": 12}
PAYLOAD: dict[str, str | int] = {
    "gen_ai.input.messages": "pay 100 to ...",
    "payload.amount": 100,
    "exception.message": "of 100",
}
RESOURCE = {"service.namespace", "service.name", "service.version", "service.instance.id"}


def figures(collector: str) -> dict[str, float]:
    """Validate the configurations and send a span through; returns figures as parts of the deployment's check have them."""
    own, xray = str(OTEL / "collector.yaml"), str(OTEL / "xray.yaml")
    return {
        "collector_config": float(valid(collector, own)),
        "collector_xray_config": float(valid(collector, own, xray)),
        "collector_redacts": float(redacts(collector)),
    }


def valid(collector: str, *configurations: str) -> bool:
    """Whether the collector takes the configurations together."""
    command = [collector, "validate", *(f"--config={each}" for each in configurations)]
    environment = {
        "HEADGATE_OTEL_EXPORT_ENDPOINT": f"http://{HOST}:4318",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return subprocess.run(command, env=environment, check=False).returncode == 0


def redacts(collector: str) -> bool:
    """Whether a span's own attributes pass, and an attribute and an event's that may hold a payload do not."""
    with span_receiver() as receiver, running(collector, receiver.endpoint) as endpoint:
        provider = span_provider(endpoint, service="check", instance="check-0", starts_traces=True)
        with provider.get_tracer(__name__).start_as_current_span("send") as span:
            span.set_attributes(KEPT | PAYLOAD)
            span.add_event("exception", PAYLOAD)
        provider.shutdown()
        eventually(lambda: bool(receiver.spans), TIMEOUT_S)
        return all(is_clean(span) for span in receiver.spans)


def is_clean(span: ReceivedSpan) -> bool:
    """Whether a received span has what it should and nothing else."""
    return dict(span.attributes) == KEPT and set(span.resource) >= RESOURCE and not span.event_attributes


@contextmanager
def running(collector: str, receiver: str) -> Iterator[str]:
    """Run the collector in front of a receiver; gives its own endpoint."""
    listens, health = free_port(), free_port()
    environment = {
        "HEADGATE_OTEL_LISTEN": f"{HOST}:{listens}",
        "HEADGATE_OTEL_HEALTH": f"{HOST}:{health}",
        "HEADGATE_OTEL_EXPORT_ENDPOINT": receiver,
    }
    command = [collector, f"--config={OTEL / 'collector.yaml'}"]
    with tempfile.TemporaryDirectory() as folder:
        ready = f"http://{HOST}:{health}"
        spec = ProcessSpec("collector", command, Path(folder), lambda: http_not_ready(ready), environment)
        process = ServiceProcess(spec)
        process.start()
        try:
            process.wait_ready()
            yield f"http://{HOST}:{listens}"
        finally:
            process.stop()
