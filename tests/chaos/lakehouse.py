"""Real writers on Kafka, a registry and SeaweedFS, with proxies before the latter two, under a steady load of events."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from headgate_local import seaweedfs
from headgate_local.http_ready import http_not_ready
from headgate_local.lake import Lake
from headgate_local.ports import HOST
from headgate_local.processes import ProcessSpec, ServiceProcess, stop_together
from headgate_local.progress import PlainProgress
from headgate_local.stack import Stack
from headgate_runtime.avro import Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts
from headgate_schemas.records import parse_record
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchTableError

from tests.chaos.proxy import FaultProxy
from tests.load.sqlite_catalog import create_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from headgate_runtime.errors import HeadgateError
    from pyiceberg.table import Table

TOPIC = "enriched-events"
SEND_TIMEOUT_S = 120.0
LOOK_S = 0.1


class Load:
    """Sends events to the topic, each with an id of its own, all partitions in turn.

    Attributes:
        sent: Ids of events handed to the producer.
        acknowledged: How many of them the brokers have.
    """

    def __init__(self, bootstrap_servers: str, registry: ConfluentRegistry, contracts: Contracts) -> None:
        self.sent: list[str] = []
        self.acknowledged = 0
        contract = contracts.topic(TOPIC)
        if not contract.fields.event_id or "." in contract.fields.event_id:
            raise RuntimeError("the load sets a top-level event id; the contract has it elsewhere")
        self._id_field = contract.fields.event_id
        self._partitions = contract.partitions
        self._registry, self._subject = registry, contract.subject
        self._record = contracts.record(contract.record)
        self._encoder = Encoder(registry, self._subject, self._record)
        examples = contracts.directory / "examples" / contract.record
        self._events = [json.loads(path.read_text("utf-8")) for path in sorted(examples.glob("*.json"))]
        self._producer = KafkaProducer(KafkaSettings(bootstrap_servers=bootstrap_servers))
        self._failures: list[HeadgateError] = []

    def send(self, events: int) -> None:
        """Hand so many events to the producer."""
        for _ in range(events):
            number = len(self.sent)
            event_id = f"event-{number}"
            event = {**self._events[number % len(self._events)], self._id_field: event_id}
            value = self._encoder.encode(event)
            partition = number % self._partitions
            self._producer.send(OutgoingRecord(TOPIC, None, value, partition=partition), self._delivered)
            self.sent.append(event_id)
        self._producer.poll()

    def widen(self) -> None:
        """Write under a schema id from now on that nobody has met yet: the same record with one more, optional field."""
        schema = json.loads(self._record.text)
        schema["fields"].append({"name": f"added_{len(self.sent)}", "type": ["null", "string"], "default": None})
        wider = parse_record(self._record.name, self._record.version + 1, schema)
        self._registry.register(self._subject, wider.text)
        self._encoder = Encoder(self._registry, self._subject, wider)

    def flush(self) -> None:
        """Wait until the brokers have everything.

        Raises:
            RuntimeError: They do not take it.
        """
        if self._producer.flush(SEND_TIMEOUT_S) or self._failures:
            raise RuntimeError(f"the load could not be sent: {self._failures[:1] or 'the brokers do not answer'}")

    def close(self) -> None:
        """Close the producer."""
        self._producer.close()

    def _delivered(self, error: HeadgateError | None) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self._failures.append(error)


@dataclass(frozen=True)
class Stored:
    """The table held against what was sent.

    Attributes:
        rows: Rows in the table.
        lost: Acknowledged events without a row.
        doubled: Rows beyond the first of an event.
        positions_doubled: Rows beyond the first of a position in the topic.
    """

    rows: int
    lost: int
    doubled: int
    positions_doubled: int


class Lakehouse:
    """A context manager: stack, topics, schemas and proxies are there on entry, writers when they are started.

    Attributes:
        stack: Beneath; direct, as is ``table``.
        catalog: Before the catalog.
        store: Before the object store.
        registry: Before the schema registry.
        writers: Started by ``start_writers``.
    """

    def __init__(self, folder: Path, *, brokers: int = 1, writers: int = 2, lake: Lake = Lake.SEAWEEDFS) -> None:
        names = [f"writer-{number}" for number in range(writers)]
        progress = PlainProgress(sys.stderr)
        self.stack = Stack(folder / "stack", brokers=brokers, lake=lake, progress=progress, reserve=names)
        self.writers: list[ServiceProcess] = []
        self.contracts = Contracts.load()
        self._names = names
        self._folder = folder
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            stack = opening.enter_context(self.stack)
            opening.callback(lambda: stop_together(self.writers))
            self._registry = ConfluentRegistry(RegistrySettings(url=stack.registry_url))
            admin = KafkaAdmin(KafkaSettings(bootstrap_servers=stack.bootstrap_servers))
            for name in (TOPIC, self.contracts.topic(TOPIC).dead_letters or ""):
                topic = self.contracts.topic(name)
                admin.create(name, partitions=topic.partitions, config={})
                self._registry.register(topic.subject, self.contracts.record(topic.record).text)
            create_tables(stack.catalog)
            self.registry = opening.enter_context(FaultProxy(stack.port("registry")))
            if "s3.endpoint" in stack.catalog:
                self.catalog = opening.enter_context(FaultProxy(stack.port(seaweedfs.CATALOG_PORT)))
                self.store = opening.enter_context(FaultProxy(stack.port(seaweedfs.STORE_PORT)))
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def load(self) -> Load:
        """A producer of events."""
        return Load(self.stack.bootstrap_servers, self._registry, self.contracts)

    def start_writers(self, settings: Mapping[str, str]) -> None:
        """Start the writers with settings of their own, by the names of their variables without the prefix.

        One after the other, for replicas that create the table at once replace each other's on SeaweedFS.
        """
        for name in self._names:
            writer = ServiceProcess(self._spec(name, settings))
            self.writers.append(writer)
            writer.start()
            writer.wait_ready()

    def url(self, writer: str) -> str:
        """A writer's control API."""
        return f"http://{HOST}:{self.stack.port(writer)}"

    def table(self) -> Table | None:
        """The table as it is now, None before there is one."""
        contract = self.contracts.topic(TOPIC).table
        if contract is None:
            raise RuntimeError(f"the contract of {TOPIC} names no table")
        catalog = load_catalog(**self.stack.catalog)
        try:
            return catalog.load_table(contract.name)
        except NoSuchTableError:
            return None
        finally:
            catalog.close()

    def rows(self) -> int:
        """Rows in the table, by its head snapshot's own count."""
        table = self.table()
        snapshot = table.current_snapshot() if table else None
        summary = snapshot.summary if snapshot else None
        return int(summary.additional_properties["total-records"]) if summary else 0

    def stored(self, sent: list[str]) -> Stored:
        """Read the table whole and compare."""
        table, id_field = self.table(), self.contracts.topic(TOPIC).fields.event_id or ""
        if table is None:
            return Stored(0, len(sent), 0, 0)
        rows = table.scan(selected_fields=(id_field, "_topic", "_kafka_partition", "_offset")).to_arrow()
        ids = Counter(rows[id_field].to_pylist())
        positions = set(zip(rows["_kafka_partition"].to_pylist(), rows["_offset"].to_pylist(), strict=True))
        doubled = sum(count - 1 for count in ids.values())
        return Stored(rows.num_rows, len(set(sent) - set(ids)), doubled, rows.num_rows - len(positions))

    def _spec(self, name: str, settings: Mapping[str, str]) -> ProcessSpec:
        catalog = self.stack.catalog
        if "s3.endpoint" in catalog:
            tokens = {"oauth2-server-uri": f"{self.catalog.url}/v1/oauth/tokens"}
            catalog |= {"uri": self.catalog.url, "s3.endpoint": self.store.url, **tokens}
        registry = self.stack.registry_url.replace(str(self.stack.port("registry")), str(self.registry.port))
        own = {
            "KAFKA__BOOTSTRAP_SERVERS": self.stack.bootstrap_servers,
            "REGISTRY__URL": registry,
            "HTTP__PORT": str(self.stack.port(name)),
            "INSTANCE": name,
            "CATALOG": json.dumps(catalog),
            **settings,
        }
        environment = {f"HEADGATE_WRITER_{key}": value for key, value in own.items()}
        command = [sys.executable, "-m", "headgate_writer"]
        ready = f"{self.url(name)}/readyz"
        return ProcessSpec(name, command, self._folder / "run", lambda: http_not_ready(ready), environment)


def under_load(load: Load, per_s: float, until: Callable[[], bool], timeout_s: float) -> bool:
    """Send at a steady rate until something holds, asked some times a second; returns whether it did in time."""
    began_s, before = time.monotonic(), len(load.sent)
    while time.monotonic() < began_s + timeout_s:
        load.send(int((time.monotonic() - began_s) * per_s) - (len(load.sent) - before))
        if until():
            return True
        time.sleep(LOOK_S)
    return False
