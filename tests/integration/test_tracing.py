"""One trace from the producer to the decision and the row that holds it: real processes, real Kafka, a real receiver of spans."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from headgate_local.http_ready import http_not_ready
from headgate_local.processes import ProcessSpec, ServiceProcess
from headgate_runtime.testing import eventually
from headgate_runtime.testing.spans import ReceivedSpan, SpanReceiver, span_receiver
from headgate_runtime.tracing import is_sampled
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchTableError

from tests.integration.enrichers import World, free_port, running
from tests.load.sqlite_catalog import create_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headgate_local.fixtures import Brokers

EVENTS = 600  # some of them are for the model
UNSAMPLED = 100
BATCH = 100
INTERNAL, CLIENT, PRODUCER, CONSUMER = 1, 3, 4, 5


class Traced(World):
    """The world with a producer in front and a writer behind."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.catalog = {
            "name": "local",
            "type": "sql",
            "uri": f"sqlite:///{self.folder}/catalog.db",
            "warehouse": f"file://{self.folder}/warehouse",
        }
        create_tables(self.catalog)

    def producer(self, **settings: str) -> ServiceProcess:
        """The HTTP service, whose events go to this world's topic."""
        port = free_port()
        self.producer_url = f"http://127.0.0.1:{port}"
        prefix = "HEADGATE_PRODUCER_"
        environment = {
            f"{prefix}KAFKA__BOOTSTRAP_SERVERS": self.brokers.bootstrap_servers,
            f"{prefix}REGISTRY__URL": self.brokers.registry_url,
            f"{prefix}HTTP__PORT": str(port),
            f"{prefix}CONTRACTS_DIR": str(self.contracts.directory),
            f"{prefix}TOPIC": self.source,
            f"{prefix}INGEST__ALLOW_ANONYMOUS": "true",
            **{f"{prefix}{name}": value for name, value in settings.items()},
        }
        command = [sys.executable, "-m", "headgate_producer"]
        ready = f"{self.producer_url}/readyz"
        spec = ProcessSpec("producer", command, self.folder / "run", lambda: http_not_ready(ready), environment)
        return ServiceProcess(spec)

    def writer(self, **settings: str) -> ServiceProcess:
        """A writer of the decided events into a table of this world's own."""
        port = free_port()
        prefix = "HEADGATE_WRITER_"
        environment = {
            f"{prefix}KAFKA__BOOTSTRAP_SERVERS": self.brokers.bootstrap_servers,
            f"{prefix}REGISTRY__URL": self.brokers.registry_url,
            f"{prefix}HTTP__PORT": str(port),
            f"{prefix}CONTRACTS_DIR": str(self.contracts.directory),
            f"{prefix}TOPICS": json.dumps([self.output]),
            f"{prefix}GROUP_ID": f"writers-{self.name}",
            f"{prefix}CATALOG": json.dumps(self.catalog),
            **{f"{prefix}{name}": value for name, value in settings.items()},
        }
        command = [sys.executable, "-m", "headgate_writer"]
        ready = f"http://127.0.0.1:{port}/readyz"
        return ServiceProcess(
            ProcessSpec("writer", command, self.folder / "run", lambda: http_not_ready(ready), environment)
        )

    def rows(self) -> dict[str, str]:
        """The snapshot that holds each stored event, by the event's id."""
        table = self.contracts.topic(self.output).table
        assert table is not None
        try:
            stored = load_catalog(**self.catalog).load_table(table.name)
        except NoSuchTableError:
            return {}
        snapshots = [snapshot.snapshot_id for snapshot in stored.snapshots()]
        found: dict[str, str] = {}
        for snapshot_id in snapshots:
            for event_id in stored.scan(snapshot_id=snapshot_id, selected_fields=(self.id_path,)).to_arrow()[0]:
                found.setdefault(event_id.as_py(), str(snapshot_id))
        return found

    def post(self, count: int, **headers: str) -> list[str]:
        """Post events; returns their ids."""
        first = len(self.sent)
        for batch in _batches(itertools.islice(self.traffic, count)):
            for event in batch:
                self.outgoing(event)
            url = f"{self.producer_url}/events"
            httpx.post(url, json=batch, headers=headers, timeout=30.0, trust_env=False).raise_for_status()
        return self.sent[first:]

    def all_decided(self) -> bool:
        return self.written() >= len(self.sent) and self.committed() >= len(self.sent)


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> Iterator[Traced]:
    world = Traced(topic_name("traced"), tmp_path, stack)
    world.model.start()
    world.model.wait_ready()
    yield world
    world.model.stop()


def test_one_trace_leads_from_the_producer_through_the_decision_to_the_stored_row(world: Traced) -> None:
    caller, trace_id = "b7ad6b7169203331", "0af7651916cd43dd8448eb211c80319c"
    with span_receiver() as receiver:
        producer = world.producer(TRACING__ENDPOINT=receiver.endpoint, TRACING__SAMPLE_RATIO="1")
        enricher = world.enricher("enricher-0", TRACING__ENDPOINT=receiver.endpoint)
        writer = world.writer(TRACING__ENDPOINT=receiver.endpoint)
        with running(producer, enricher, writer):
            ids = world.post(EVENTS)
            [called] = world.post(1, traceparent=f"00-{trace_id}-{caller}-01")
            unsampled = world.post(UNSAMPLED, traceparent=f"00-{'c' * 32}-{caller}-00")
            eventually(world.all_decided, 60)
            eventually(lambda: len(world.rows()) == len(world.sent), 60)
        # All have stopped: whatever they recorded is here.
    stored = {world.event_id(event): event for event in world.assert_exactly_once()}
    sent = _by_event(receiver, "send ")
    processed = _by_event(receiver, f"process {world.source}")
    landed = _by_event(receiver, f"process {world.output}")
    assert set(sent) == set(processed) == set(landed) == {*ids, called}
    for event_id, span in processed.items():
        _assert_one_trace(sent[event_id], span, stored[event_id])
    assert (sent[called].trace_id, sent[called].parent_id) == (trace_id, caller)
    assert {span.parent_id for event_id, span in sent.items() if event_id != called} == {""}
    assert {stored[event_id]["processing_metadata"]["trace_id"] for event_id in unsampled} == {"c" * 32}
    assert {span.trace_id for span in receiver.spans} == {span.trace_id for span in sent.values()}
    assert _attributes(receiver.spans) <= _let_through_by_the_collector()
    _assert_model_calls(receiver, processed, stored)
    snapshots = world.rows()
    for event_id, span in landed.items():
        assert (span.service, span.kind) == ("writer", CONSUMER)
        assert (span.parent_id, span.trace_id) == (processed[event_id].span_id, processed[event_id].trace_id)
        assert span.attributes["headgate.snapshot_id"] == snapshots[event_id]


def test_the_command_line_starts_traces_and_lets_out_its_spans_before_it_ends(world: Traced) -> None:
    with span_receiver() as receiver:
        prefix = "HEADGATE_PRODUCER_"
        environment = os.environ | {
            f"{prefix}KAFKA__BOOTSTRAP_SERVERS": world.brokers.bootstrap_servers,
            f"{prefix}REGISTRY__URL": world.brokers.registry_url,
            f"{prefix}CONTRACTS_DIR": str(world.contracts.directory),
            f"{prefix}TOPIC": world.source,
            f"{prefix}TRACING__ENDPOINT": receiver.endpoint,
            f"{prefix}TRACING__SAMPLE_RATIO": "0.5",
        }
        command = [
            str(Path(sysconfig.get_path("scripts")) / "headgate"),
            "produce",
            "generate",
            "--events",
            "200",
            "--json",
        ]
        done = subprocess.run(command, env=environment, cwd=world.folder, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["acknowledged"] == 200
    sampled = [record for record in world.read(world.source) if is_sampled(record.headers)]
    assert 50 < len(sampled) < 150  # a chance of one in a million million
    named = {dict(record.headers)["traceparent"].split(b"-")[2].decode() for record in sampled}
    assert {span.span_id for span in receiver.named("send ")} == named


def test_an_endpoint_that_is_away_slows_nothing_and_loses_nothing(world: Traced) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    producer = world.producer(TRACING__ENDPOINT=away, TRACING__SAMPLE_RATIO="1")
    enricher = world.enricher("enricher-0", TRACING__ENDPOINT=away)
    with running(producer, enricher):
        began_s = time.monotonic()
        world.post(EVENTS)
        eventually(world.all_decided, 60)
        assert time.monotonic() - began_s < 30.0
        eventually(lambda: "spans are lost" in (world.folder / "run/enricher-0.log").read_text("utf-8"), 30)
    world.assert_exactly_once()
    log = (world.folder / "run/enricher-0.log").read_text("utf-8")
    assert 1 <= log.count("spans are lost") <= 3
    assert (producer.exit_code, enricher.exit_code) == (0, 0)


def _batches(events: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(itertools.islice(events, BATCH)):
        yield batch


def _attributes(spans: list[ReceivedSpan]) -> set[str]:
    return {name for span in spans for name in (*span.attributes, *span.event_attributes, *span.resource)}


def _let_through_by_the_collector() -> set[str]:
    written = Path(__file__).parents[2] / "deploy" / "observability" / "otel" / "collector.yaml"
    return set(yaml.safe_load(written.read_text("utf-8"))["processors"]["redaction"]["allowed_keys"])


def _by_event(receiver: SpanReceiver, prefix: str) -> dict[str, ReceivedSpan]:
    spans = receiver.named(prefix)
    found = {span.attributes["headgate.event_id"]: span for span in spans}
    assert len(found) == len(spans), "an event has two such spans"
    return found


def _assert_one_trace(sent: ReceivedSpan, processed: ReceivedSpan, event: dict[str, Any]) -> None:
    decision, way = event["agent_metadata"], event["processing_metadata"]
    assert (sent.service, sent.kind) == ("producer", PRODUCER)
    assert (processed.service, processed.kind) == ("enricher", CONSUMER)
    assert (processed.parent_id, processed.trace_id) == (sent.span_id, sent.trace_id)
    assert way["trace_id"] == sent.trace_id
    told = processed.attributes
    assert told["messaging.destination.partition.id"] == str(way["source_partition"])
    assert told["messaging.kafka.offset"] == way["source_offset"]
    for name in ("decision", "tier", "agent", "agent_version", "model_calls", "cost_microdollars"):
        assert told[f"headgate.{name}"] == decision[name]
    assert sent.start_ns <= processed.start_ns <= processed.end_ns


def _assert_model_calls(
    receiver: SpanReceiver, processed: dict[str, ReceivedSpan], stored: dict[str, dict[str, Any]]
) -> None:
    """Each answer that was paid for is a chat below the deliberation below the event, and so are the tools' calls."""
    invoked = {span.span_id: span for span in receiver.named("invoke_agent ")}
    events = {span.span_id: event_id for event_id, span in processed.items()}
    calls: dict[str, list[ReceivedSpan]] = {}
    for chat in receiver.named("chat "):
        calls.setdefault(events[invoked[chat.parent_id].parent_id], []).append(chat)
    asked = {event_id for event_id in processed if stored[event_id]["agent_metadata"]["model_calls"]}
    assert set(calls) == asked != set()
    for event_id, chats in calls.items():
        decision = stored[event_id]["agent_metadata"]
        assert {chat.kind for chat in chats} == {CLIENT}
        assert {chat.attributes["gen_ai.request.model"] for chat in chats} == {decision["model_id"]}
        for name in ("input_tokens", "output_tokens"):
            assert sum(chat.attributes[f"gen_ai.usage.{name}"] for chat in chats) == decision[name]
        assert sum(chat.attributes["headgate.cost_microdollars"] for chat in chats) == decision["cost_microdollars"]
    tools = receiver.named("execute_tool ")
    assert tools
    assert {tool.parent_id for tool in tools} <= set(invoked)
    assert {span.parent_id for span in receiver.named("reserve ")} <= set(invoked)
