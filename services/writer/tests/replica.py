"""One writer in memory, for tests of its worker: broker, table, clock and acknowledgements are the test's."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from headgate_runtime.errors import RejectedError, UnavailableError, UndecodableError, UnknownSchemaError
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import OutgoingRecord, Record
from headgate_runtime.testing import MemoryBroker, MemoryConsumer, MemoryProducer
from headgate_schemas.records import parse_record
from headgate_writer.commit import Committer
from headgate_writer.decode import BatchDecoder
from headgate_writer.feed import Feed
from headgate_writer.maintenance.background import Background
from headgate_writer.maintenance.metrics import MaintenanceMetrics
from headgate_writer.maintenance.upkeep import Upkeep
from headgate_writer.metrics import WriterMetrics
from headgate_writer.outbox import Outbox
from headgate_writer.parking import Parking
from headgate_writer.policy import CommitPolicy
from headgate_writer.positions import Incarnation
from headgate_writer.reader import TableReader
from headgate_writer.routes import Routes
from headgate_writer.sink import Sink, SinkParts
from headgate_writer.testing import MemoryCatalog, MemoryTable
from headgate_writer.worker import WriterWorker

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.kafka.protocols import OnDelivery
    from headgate_schemas import RecordSchema
    from headgate_writer.errors import Acceptance
    from headgate_writer.landed import OnLanded

TOPIC = Incarnation("events", "cluster", "id")
RECORD = parse_record("event", 1, {"type": "record", "name": "event", "fields": [{"name": "at", "type": "long"}]})
AT = pa.schema([pa.field("at", pa.timestamp("ms", tz="UTC"), nullable=False)])


def unknown(schema_id: int) -> dict[str, Any]:
    raise UnknownSchemaError(f"no schema {schema_id}")


class Letters:
    """Builds dead letters whose key is their source's position, and whose value can be a row."""

    def record(self, source: Record, **_: Any) -> OutgoingRecord:
        return OutgoingRecord("events.dlq", f"{source.topic}/{source.partition}/{source.offset}".encode(), b"good")


class Values:
    away = False

    def decode(self, value: bytes | None) -> dict[str, Any]:
        if self.away:
            raise UnavailableError("registry away")
        if value != b"good":
            raise UndecodableError("undecodable", "not good")
        return {"at": 0}


class HeldProducer:
    """A producer whose acknowledgements the test gives."""

    def __init__(self) -> None:
        self.waiting: list[tuple[OutgoingRecord, OnDelivery]] = []
        self.full = False

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery | None = None) -> None:
        if self.full:
            raise UnavailableError("queue full")
        assert on_delivery is not None
        self.waiting.append((record, on_delivery))

    def acknowledge(self, error: RejectedError | UnavailableError | None = None) -> bytes | None:
        record, on_delivery = self.waiting.pop(0)
        on_delivery(error)
        return record.key

    def poll(self) -> None:
        return

    def flush(self, timeout_s: float) -> int:
        return len(self.waiting) if timeout_s else 0

    def outstanding(self) -> int:
        return len(self.waiting)

    def refusal(self) -> None:
        return None

    def close(self, timeout_s: float = 10.0) -> None:
        if self.waiting:
            raise UnavailableError(f"{len(self.waiting)} not acknowledged within {timeout_s} s")


@dataclass
class Replica:
    """One writer process: its worker, consumer and table handles, driven step by step.

    Topics are stored in one table, but for those that are ``elsewhere``, each in a table of its own.
    """

    broker: MemoryBroker
    catalog: MemoryCatalog
    group: str = "writer"
    producer: Any = None
    now: list[float] = field(default_factory=lambda: [0.0])
    life: Incarnation = TOPIC
    topics: tuple[str, ...] = ("events",)
    elsewhere: dict[str, MemoryCatalog] = field(default_factory=dict)
    accepted: tuple[Acceptance, ...] = ()
    max_buffered_bytes: int = 1 << 30
    make_sink: Callable[..., Sink] = Sink
    on_landed: OnLanded | None = None
    maintainers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.table = MemoryTable(self.catalog)
        self.consumer = MemoryConsumer(self.broker, self.group)
        self.values = Values()
        self.parking = Parking(self.accepted, self._clock)
        self.outbox = Outbox(self.producer or MemoryProducer(self.broker))
        self.shown = WriterMetrics(self.metrics)
        self.sink = self._sink("lake.events", self.table, self._reopen)
        self.readers = {self.sink: self._reader(self.sink)}
        self.routes = Routes(self.topics, identify=self._identify, open_topic=self._open, clock=self._clock)
        self.upkeep = Upkeep(
            Background(),
            MaintenanceMetrics(self.metrics),
            interval_s=1.0,
            clock=self._clock,
            rng=random.SystemRandom(),
        )
        for name, maintainer in self.maintainers.items():
            self.upkeep.keep(name, maintainer)
        self.worker = WriterWorker(
            self.routes,
            self.consumer,
            self.outbox,
            self.parking,
            upkeep=self.upkeep,
            max_buffered_bytes=self.max_buffered_bytes,
            clock=self._clock,
            wait=self._wait,
            rng=random.SystemRandom(),
        )
        worker = self.worker
        self.consumer.subscribe(
            self.routes.topics, on_assign=worker.assign, on_revoke=worker.revoke, on_lost=worker.lose
        )

    def _sink(self, name: str, table: MemoryTable, reopen: Callable[[], MemoryTable]) -> Sink:
        accepted = self.parking.accepted
        parts = SinkParts(
            table=name,
            outbox=self.outbox,
            committer=Committer(table, clock=self._clock, rng=random.SystemRandom(), accepted=accepted),
            reopen=reopen,
            policy=CommitPolicy(rows=100, size_bytes=1 << 30, interval_s=5),
            event_time=("at",),
            on_landed=self.on_landed,
        )
        return self.make_sink(parts, self.shown, clock=self._clock, clock_ms=lambda: 2_000)

    def _reader(self, sink: Sink) -> TableReader:
        return TableReader(RECORD, schema_of=unknown, widen=sink.parts.committer.widen)

    def _open(self, topic: str) -> Sink:
        def decoder(_: RecordSchema) -> BatchDecoder:
            return BatchDecoder(self.values, lambda _: None, AT, lambda: 0)

        sink = self.sink
        if topic in self.elsewhere:
            table = MemoryTable(self.elsewhere[topic])
            sink = self._sink(f"lake.{topic}", table, lambda: table)
            self.readers[sink] = self._reader(sink)
        letters: Any = Letters()
        sink.feeds[topic] = Feed(topic, self.readers[sink], decoder, letters, in_place=topic.endswith(".dlq"))
        return sink

    def _reopen(self) -> MemoryTable:
        self.table = MemoryTable(self.catalog)
        return self.table

    def _identify(self) -> dict[str, Incarnation]:
        lives = {topic: Incarnation(topic, "cluster", "id") for topic in self.topics if self.broker.has(topic)}
        return lives | {self.life.topic: self.life}

    def _clock(self) -> float:
        return self.now[0]

    def _wait(self, seconds: float) -> None:
        self.now[0] += seconds

    def step(self, times: int = 1, *, seconds: float = 0.0, limit: int = 7, draining: bool = False) -> None:
        for _ in range(times):
            self.now[0] += seconds
            records = [] if self.worker.congested() else self.consumer.poll(limit, 0)
            self.worker.process(records)
            self.worker.tick(draining=draining)


def produce(broker: MemoryBroker, count: int, value: bytes = b"good", topic: str = "events") -> None:
    for index in range(count):
        broker.append(OutgoingRecord(topic, None, value, partition=index % len(broker.partitions(topic))))


def everything(broker: MemoryBroker, *topics: str) -> list[tuple[int, int]]:
    return sorted(
        (record.partition, record.offset) for topic in topics or ("events",) for record in broker.records(topic)
    )
