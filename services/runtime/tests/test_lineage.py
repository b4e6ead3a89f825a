"""Lineage events on their way out: to a receiver that takes them, refuses them, is away, or never answers."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from headgate_runtime.config import KafkaSettings, LineageSettings
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.lineage import LineageEmitter, LineageMetrics, open_emitter
from headgate_runtime.metrics import Metrics
from headgate_runtime.testing import eventually
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from structlog.testing import capture_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NO_KAFKA = KafkaSettings()


def events(number: int = 0) -> list[RunEvent]:
    run = Run(f"00000000-0000-0000-0000-{number:012}")
    at = "2026-11-25T00:00:00.000+00:00"
    return [RunEvent(eventType=state, eventTime=at, run=run, job=Job("n", "j")) for state in list(RunState)[:2]]


def outcomes(metrics: Metrics) -> dict[str, float]:
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    return {
        sample.labels["outcome"]: sample.value for sample in samples if sample.name == "headgate_lineage_runs_total"
    }


@contextmanager
def receiver(status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """A real HTTP server; gives its address and what it got."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_run_arrives_over_http_as_its_events_in_order() -> None:
    metrics = Metrics()
    with receiver() as (url, got):
        emitter = open_emitter(LineageSettings(transport={"type": "http", "url": url}), NO_KAFKA, metrics)
        emitter.emit(events)
        emitter.close()
    assert [(path, event["eventType"]) for path, event in got] == [
        ("/api/v1/lineage", "START"),
        ("/api/v1/lineage", "RUNNING"),
    ]
    assert outcomes(metrics) == {"told": 1}


def test_a_run_is_appended_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lineage.jsonl"
    transport = {"type": "file", "log_file_path": str(path), "append": True}
    emitter = open_emitter(LineageSettings(transport=transport), NO_KAFKA, Metrics())
    emitter.emit(events)
    emitter.emit(events)
    emitter.close()
    assert [json.loads(line)["run"]["runId"] for line in path.read_text().splitlines()] == [events()[0].run.runId] * 4


def test_a_receiver_that_refuses_is_counted_and_logged_once_in_a_while() -> None:
    metrics, now = Metrics(), [0.0]

    def refuse(_: object) -> None:
        raise OSError("refused")

    emitter = LineageEmitter(refuse, LineageMetrics(metrics), clock=lambda: now[0])
    with capture_logs() as logs:
        for _ in range(5):
            emitter.emit(events)
        eventually(lambda: outcomes(metrics) == {"failed": 5}, 5)
        now[0] = 61.0
        emitter.emit(events)
        emitter.close()
    assert [(line["runs"], line["error"]) for line in logs] == [(1, "OSError('refused')"), (5, "OSError('refused')")]


def test_nobody_waits_for_a_receiver_that_never_answers() -> None:
    metrics = Metrics()
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        emitter = open_emitter(LineageSettings(transport={"type": "http", "url": url}), NO_KAFKA, metrics)
        began_s = time.monotonic()
        for _ in range(2_000):
            emitter.emit(events)
        assert time.monotonic() - began_s < 2
        assert 999 <= outcomes(metrics)["dropped"] <= 1_000
        with capture_logs() as logs:
            emitter.close(timeout_s=0.05)
    assert [line["event"] for line in logs] == ["lineage is lost: the receiver has not taken the last runs"]


def test_what_waits_is_told_before_the_end() -> None:
    release, told = threading.Event(), list[str]()

    def send(event: RunEvent) -> None:
        release.wait(5)
        told.append(event.run.runId)

    emitter = LineageEmitter(send, LineageMetrics(Metrics()))
    for number in range(10):
        emitter.emit(lambda number=number: events(number))  # type: ignore[misc]  # the default binds it
    release.set()
    emitter.close()
    assert told == [event.run.runId for number in range(10) for event in events(number)]


def test_events_are_made_on_the_emitters_thread() -> None:
    threads: list[str] = []

    def make() -> list[RunEvent]:
        threads.append(threading.current_thread().name)
        return []

    emitter = LineageEmitter(print, LineageMetrics(Metrics()))
    emitter.emit(make)
    emitter.close()
    assert threads == ["lineage"]


@pytest.mark.parametrize("transport", [{"url": "http://x"}, {"type": "http"}, {"type": "pigeon"}, {"type": "kafka"}])
def test_settings_that_describe_no_transport_stop_the_start(transport: dict[str, Any]) -> None:
    make: Callable[[], object] = lambda: open_emitter(LineageSettings(transport=transport), NO_KAFKA, Metrics())  # noqa: E731
    with pytest.raises(ConfigurationError, match="LINEAGE__TRANSPORT describes no OpenLineage transport"):
        make()


def test_nothing_is_said_or_sent_after_the_end_of_the_wait_for_a_receiver() -> None:
    sent: list[RunEvent] = []
    released = threading.Event()

    def hang(event: RunEvent) -> None:
        sent.append(event)
        released.wait(30)
        raise ConnectionError("away")

    emitter = LineageEmitter(hang, LineageMetrics(Metrics()))
    for _ in range(3):
        emitter.emit(events)
    eventually(lambda: sent, 30)
    emitter.close(0.01)
    with capture_logs() as logs:
        released.set()
        emitter._thread.join(30)
    assert not emitter._thread.is_alive()
    assert (len(sent), logs) == (1, [])
