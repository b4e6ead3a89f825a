"""How fast one enricher is, by the share of events that go to a model of 500 ms latency.

The limit, measured in the same run: the same records in and out in transactions, without an agent (``bare_loop.py``).

Run it from the project's root: ``python tests/bench/enricher.py``. It starts an embedded stack of its own, whose broker
and model endpoint share the machine's cores with the enricher; the figures go to ``build/bench/enricher.json``.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
from bare_loop import BEGIN, END, events_per_s, outputs_of
from figure_table import print_figures, rounded
from headgate_enricher.agents import load_agent
from headgate_enricher.bedrock import BedrockSettings, create_model
from headgate_local.figures import write_figures
from headgate_local.http_ready import http_not_ready
from headgate_local.processes import ProcessSpec, ServiceProcess
from headgate_local.stack import Stack
from headgate_runtime.avro import Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts, field_getter
from headgate_schemas.agent import GreyCase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
LATENCY_MS = 500
KEYS = 50_000
START_MS, END_MS = 1_760_000_000_000, 1_760_086_400_000
LONGEST_RUN_S = 300.0
FLUSH_EVERY = 10_000
BARE_TOPIC = "bare-loop"
TOPICS = ("raw-events", "raw-events.dlq", "enriched-events", "enricher-progress")


@dataclass(frozen=True)
class Rate:
    """What one run measured between 15 and 95 % of its events."""

    events_per_s: float
    cpu_us_per_event: float


def main() -> int:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=60_000, help="events a share")
    parser.add_argument(
        "--shares", type=float, nargs="*", default=[2, 10], help="per cent of events at the model, besides none"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rates, bare = _measure(Path(scratch), arguments.events, arguments.shares)
    figures = {"enricher_bare_loop_events_per_s": bare}
    for share, rate in rates.items():
        figures[f"enricher_events_per_s_{share:g}pct"] = rate.events_per_s
        figures[f"enricher_cpu_us_per_event_{share:g}pct"] = rate.cpu_us_per_event
    figures["enricher_share_of_bare_loop_0pct"] = rates[0.0].events_per_s / bare
    figures = rounded(figures)
    details = {"events": arguments.events, "model_latency_ms": LATENCY_MS, "processes": 1}
    path = write_figures("bench", "enricher", figures, details=details, root=ROOT)
    print_figures(f"Enricher, {arguments.events:,} events a share", figures, path)
    return 0


def _measure(folder: Path, events: int, shares: Sequence[float]) -> tuple[dict[float, Rate], float]:
    """The enricher's rate by share, and the bare loop's over the very events of the share 0."""
    with Stack(folder / "stack", bedrock=True) as stack:
        httpx.put(f"{stack.bedrock_url}/admin/faults", json={"latency_ms": LATENCY_MS}).raise_for_status()
        bench = Bench(stack, folder)
        bench.load(events, 0.0)
        rates = {0.0: bench.run(events)}
        bare = bench.run_bare(events)
        for share in shares:
            bench.load(events, share / 100)
            rates[share] = bench.run(events)
    return rates, bare


class Bench:
    """Topics with events to decide, and one enricher at a time."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._kafka = KafkaSettings(bootstrap_servers=stack.bootstrap_servers)
        self._admin = KafkaAdmin(self._kafka)
        registry = ConfluentRegistry(RegistrySettings(url=stack.registry_url))
        contracts = Contracts.load()
        for contract in map(contracts.topic, TOPICS):
            config = {"cleanup.policy": contract.cleanup_policy}
            self._admin.create(contract.topic, partitions=contract.partitions, config=config)
            registry.register(contract.subject, contracts.record(contract.record).text)
        self._source, self._output = contracts.topic(TOPICS[0]), contracts.topic(TOPICS[2])
        self._encoder = Encoder(registry, self._source.subject, contracts.record(self._source.record))
        self._fast, self._grey = _pools()
        self._numbers = itertools.count()

    def load(self, events: int, share: float) -> None:
        """Put events of which this share is grey into the source topic."""
        producer = KafkaProducer(self._kafka)
        for number in range(events):
            grey = int((number + 1) * share) > int(number * share)
            producer.send(self._record(next(self._grey if grey else self._fast)))
            if number % FLUSH_EVERY == 0:
                producer.flush(30)
        producer.flush(30)
        producer.close()

    def run(self, events: int) -> Rate:
        """Let a fresh enricher decide what is waiting."""
        before = self._written()
        enricher = self._enricher()
        enricher.start()
        try:
            began_s, began_cpu = self._passed(enricher, before + int(events * BEGIN))
            ended_s, ended_cpu = self._passed(enricher, before + int(events * END))
            self._passed(enricher, before + events)
        finally:
            enricher.stop()
        share = events * (END - BEGIN)
        return Rate(share / (ended_s - began_s), (ended_cpu - began_cpu) * 1e6 / share)

    def run_bare(self, events: int) -> float:
        """Let the bare loop read what has been decided and write what came of it; returns events a second."""
        self._admin.create(BARE_TOPIC, partitions=self._output.partitions, config={})
        outputs = outputs_of(self._kafka, self._output.topic, events, BARE_TOPIC)
        return events_per_s(self._kafka, self._source.topic, outputs)

    def _passed(self, enricher: ServiceProcess, written: int) -> tuple[float, float]:
        """Wait until so many outputs are written; returns the time and the enricher's CPU seconds so far."""
        deadline = time.monotonic() + LONGEST_RUN_S
        while self._written() < written:
            if time.monotonic() > deadline or not enricher.running:
                raise TimeoutError(f"{self._written()} of {written} outputs; see {enricher.spec.log}")
            time.sleep(0.02)
        pid = enricher.pid
        used = psutil.Process(pid).cpu_times() if pid else None
        return time.monotonic(), used.user + used.system if used else 0.0

    def _written(self) -> int:
        partitions = [TopicPartition(self._output.topic, number) for number in range(self._output.partitions)]
        return sum(self._admin.high_watermarks(partitions).values())

    def _record(self, event: dict[str, Any]) -> OutgoingRecord:
        number = next(self._numbers)
        fields = self._source.fields
        key = f"key-{number % KEYS}"
        if fields.event_id is not None:
            _put(event, fields.event_id, f"event-{number}")
        if fields.key is not None:
            _put(event, fields.key, key)
        return OutgoingRecord(self._source.topic, key.encode(), self._encoder.encode(event))

    def _enricher(self) -> ServiceProcess:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        environment = {
            "HEADGATE_ENRICHER_KAFKA__BOOTSTRAP_SERVERS": self._stack.bootstrap_servers,
            "HEADGATE_ENRICHER_REGISTRY__URL": self._stack.registry_url,
            "HEADGATE_ENRICHER_HTTP__PORT": str(port),
            "HEADGATE_ENRICHER_INSTANCE": "bench",
            "HEADGATE_ENRICHER_BEDROCK__ENDPOINT_URL": str(self._stack.bedrock_url),
            "HEADGATE_ENRICHER_BEDROCK__ACCESS_KEY_ID": "local",
            "HEADGATE_ENRICHER_BEDROCK__SECRET_ACCESS_KEY": "local",
        }
        command = [sys.executable, "-m", "headgate_enricher"]
        ready = f"http://127.0.0.1:{port}/readyz"
        return ServiceProcess(
            ProcessSpec("enricher", command, self._folder / "run", lambda: http_not_ready(ready), environment)
        )


def _pools() -> tuple[Iterator[dict[str, Any]], Iterator[dict[str, Any]]]:
    """Endless events that the agent decides by itself, and events it needs the model for."""
    settings = BedrockSettings.model_validate({"access_key_id": "local", "secret_access_key": "local"})
    agent = load_agent("risk", create_model(settings), model_id=settings.model_id)
    generate = entry_points(group="headgate.generators")[agent.name].load()
    events = [event for event, _ in generate(seed=1, events=20_000, start_ms=START_MS, end_ms=END_MS)]
    pools: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for event, result in zip(events, agent.triage(events), strict=True):
        pools[isinstance(result, GreyCase)].append(copy.deepcopy(dict(event)))
    return itertools.cycle(pools[0]), itertools.cycle(pools[1])


def _put(event: dict[str, Any], path: str, value: str) -> None:
    parents, _, leaf = path.rpartition(".")
    (field_getter(parents)(event) if parents else event)[leaf] = value


if __name__ == "__main__":
    sys.exit(main())
