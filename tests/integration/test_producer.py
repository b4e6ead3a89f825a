"""The producer on a real broker: replay from the command line's parts, and the HTTP service as a process of its own."""

from __future__ import annotations

import random
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from headgate_local.http_ready import http_not_ready
from headgate_local.ports import HOST, choose_ports
from headgate_local.processes import ProcessSpec, ServiceProcess
from headgate_local.stack import Stack
from headgate_producer.config import Settings
from headgate_producer.runs import GeneratePlan, ReplayPlan, Run, execute
from headgate_runtime.avro import Decoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.testing import eventually
from headgate_runtime.tracing import parse_traceparent
from headgate_schemas import Contracts, field_getter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers
    from headgate_runtime.records import Record

TOKEN = "a-token-long-enough"
NOW_MS = 1_800_000_000_000
ROWS = 3000


@dataclass
class Bed:
    """A topic of a test's own, with the contract of raw-events, its schema registered."""

    settings: Settings
    folder: Path
    contracts: Contracts = field(init=False)

    def __post_init__(self) -> None:
        topic = self.settings.topic
        shipped = Contracts.load()
        contracts = self.folder / "contracts"
        for part in ("avro", "sets", "mappings"):
            shutil.copytree(shipped.directory / part, contracts / part)
        (contracts / "topics").mkdir()
        text = (shipped.directory / "topics" / "raw-events.yaml").read_text("utf-8")
        own = {**yaml.safe_load(text), "topic": topic, "dead_letters": None}
        (contracts / "topics" / f"{topic}.yaml").write_text(yaml.safe_dump(own))
        self.settings.contracts_dir = contracts
        self.contracts = Contracts.load(contracts)
        KafkaAdmin(self.settings.kafka).create(topic, partitions=4, config={})
        self._registry = ConfluentRegistry(self.settings.registry)
        self._record = self.contracts.record(self.contracts.topic(topic).record)
        self._registry.register(self.contracts.topic(topic).subject, self._record.text)

    def records(self) -> list[Record]:
        """Everything in the topic now."""
        consumer = KafkaConsumer(self.settings.kafka, group_id=f"{self.settings.topic}-{time.monotonic_ns()}")
        found: list[Record] = []

        def at_end() -> bool:
            found.extend(consumer.poll(5000, 0.2))
            owned = consumer.assignment()
            ends = consumer.end_offsets(owned)
            return len(owned) == 4 and all((consumer.position(one) or 0) >= end for one, end in ends.items())

        consumer.subscribe([self.settings.topic], on_assign=lambda _: {}, on_revoke=_ignore, on_lost=_ignore)
        try:
            eventually(at_end, 60.0)
        finally:
            consumer.close()
        return found

    def events(self) -> list[dict[str, Any]]:
        """Everything in the topic now, decoded."""
        decoder = Decoder(self._registry, self._record)
        return [decoder.decode(record.value) for record in self.records()]

    @contextmanager
    def service(self, **environment: str) -> Iterator[Service]:
        """The HTTP service as a process."""
        token = self.folder / "token"
        token.write_text(TOKEN)
        port = choose_ports(["producer"], {})["producer"]
        url = f"http://{HOST}:{port}"
        spec = ProcessSpec(
            "producer",
            [sys.executable, "-m", "headgate_producer"],
            self.folder,
            lambda: http_not_ready(f"{url}/readyz"),
            environment={
                "HEADGATE_PRODUCER_KAFKA__BOOTSTRAP_SERVERS": self.settings.kafka.bootstrap_servers,
                "HEADGATE_PRODUCER_REGISTRY__URL": self.settings.registry.url,
                "HEADGATE_PRODUCER_CONTRACTS_DIR": str(self.settings.contracts_dir),
                "HEADGATE_PRODUCER_TOPIC": self.settings.topic,
                "HEADGATE_PRODUCER_HTTP__PORT": str(port),
                "HEADGATE_PRODUCER_HTTP__CONTROL_TOKEN_FILE": str(token),
                **environment,
            },
        )
        process = ServiceProcess(spec)
        process.start()
        try:
            process.wait_ready()
            yield Service(process, url)
        finally:
            process.stop()


@dataclass(frozen=True)
class Service:
    """A running HTTP service."""

    process: ServiceProcess
    url: str

    def post(self, content: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.post(f"{self.url}/events", json=content, headers=headers, timeout=30.0, trust_env=False)


def _ignore(_: object) -> None:
    """Nothing is kept for partitions that go."""


def _settings(bootstrap_servers: str, registry_url: str, topic: str) -> Settings:
    kafka, registry = KafkaSettings(bootstrap_servers=bootstrap_servers), RegistrySettings(url=registry_url)
    return Settings(kafka=kafka, registry=registry, topic=topic, delivery_timeout_s=20.0)


@pytest.fixture
def bed(stack: Brokers, topic_name: Callable[[str], str], tmp_path: Path) -> Bed:
    return Bed(_settings(stack.bootstrap_servers, stack.registry_url, topic_name("produced")), tmp_path)


@pytest.fixture
def purchases(tmp_path: Path) -> Path:
    """A purchase log as the public one: by customer, not by date; three of its rows are broken."""
    draw = random.Random(1)  # noqa: S311 - test data
    lines = [" customer_id  date number_of_cds  dollar_value"]
    for row in range(ROWS):
        day = f"1997{draw.randint(1, 12):02d}{draw.randint(1, 28):02d}"
        lines.append(f" {row // 3:05d} {day}  {draw.randint(1, 9)}  {draw.uniform(1, 99):6.2f}")
    lines += [" 90000 19970199  1  11.77", " 90001 19970101  1", " 90002 19970101  1  -5.00"]
    path = tmp_path / "purchases.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def _event(number: int) -> dict[str, Any]:
    attributes = {"user_id": f"u-{number % 50}", "amount": 12.5, "currency": "EUR"}
    return {
        "event_id": f"e-{number}",
        "event_type": "transaction",
        "source_system": "shop",
        "event_timestamp": "2027-01-15T08:00:00Z",
        "payload": {"attributes": attributes},
    }


def test_a_replay_and_generated_traffic_land_exactly(bed: Bed, purchases: Path, tmp_path: Path) -> None:
    plans = (ReplayPlan(purchases, "cdnow"), GeneratePlan("risk", 500, 7, 3600.0))
    run = Run(plans, NOW_MS, None, None, tmp_path / "rejects.jsonl", tmp_path / "labels.jsonl")

    summary = execute(run, bed.settings)

    assert (summary.read, summary.acknowledged, summary.undelivered) == (ROWS + 503, ROWS + 500, 0)
    assert dict(summary.refused) == {"mapping": 1, "row": 1, "amount_not_negative": 1}
    assert summary.labelled == 500
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 3
    records, events = bed.records(), bed.events()
    replayed = [event["event_id"] for event in events if event["source_system"] == "cdnow"]
    assert len(replayed) == ROWS
    assert set(replayed) == {f"cdnow-{row}" for row in range(1, ROWS + 1)}
    assert len(events) == len({event["event_id"] for event in events}) == ROWS + 500
    key_of = field_getter(bed.contracts.topic(bed.settings.topic).fields.key or "")
    partitions: dict[bytes | None, set[int]] = {}
    for record in records:
        partitions.setdefault(record.key, set()).add(record.partition)
        assert parse_traceparent(record.headers) is not None
    assert {key_of(event).encode() for event in events} == set(partitions)
    assert all(len(places) == 1 for places in partitions.values())
    assert {dict(record.headers)["event-id"] for record in records} == {event["event_id"].encode() for event in events}


def test_what_is_accepted_over_http_is_in_the_topic_and_what_is_refused_is_not(bed: Bed) -> None:
    with bed.service() as service:
        accepted = service.post([_event(number) for number in range(100)])
        refused = service.post([_event(1000), {**_event(1001), "event_type": "refund"}])
        unauthorised = httpx.post(f"{service.url}/events", json=_event(1002), trust_env=False)
        events = bed.events()
        code = service.process.stop()

    assert (accepted.status_code, accepted.json()) == (202, {"accepted": 100})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["index"] == 1
    assert refused.json()["errors"][0]["rule"] == "event_type_known"
    assert unauthorised.status_code == 401
    assert sorted(event["event_id"] for event in events) == sorted(f"e-{number}" for number in range(100))
    assert {event["event_timestamp"] for event in events} == {1_800_000_000_000}
    assert code == 0


def test_nothing_acknowledged_is_lost_when_the_broker_is_killed_and_comes_back(
    tmp_path: Path, topic_name: Callable[[str], str]
) -> None:
    with Stack(tmp_path / "stack") as stack:
        bed = Bed(_settings(stack.bootstrap_servers, stack.registry_url, topic_name("outage")), tmp_path)
        answers: list[tuple[int, int]] = []
        done = threading.Event()

        def post() -> None:
            for number in range(1_000_000):
                if done.is_set():
                    return
                answers.append((number, service.post(_event(number)).status_code))

        def accepted(since: int = 0) -> int:
            return sum(1 for _, status in answers[since:] if status == httpx.codes.ACCEPTED)

        limits = {"ACK_TIMEOUT_S": "1", "STALL_AFTER_S": "0.5"}
        with bed.service(**{f"HEADGATE_PRODUCER_INGEST__{name}": value for name, value in limits.items()}) as service:
            poster = threading.Thread(target=post, name="poster")
            poster.start()
            eventually(lambda: accepted() > 20, 30.0)
            stack.processes["kafka"].kill9()
            eventually(lambda: sum(1 for _, status in answers if status == httpx.codes.SERVICE_UNAVAILABLE) > 3, 30.0)
            before = len(answers)
            stack.processes["kafka"].start()
            stack.processes["kafka"].wait_ready()
            eventually(lambda: accepted(before) > 20, 60.0)
            done.set()
            poster.join(30.0)
        found = {event["event_id"] for event in bed.events()}

    assert {status for _, status in answers} <= {httpx.codes.ACCEPTED, httpx.codes.SERVICE_UNAVAILABLE}
    assert {f"e-{number}" for number, status in answers if status == httpx.codes.ACCEPTED} <= found
