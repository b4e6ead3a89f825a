"""One writer in memory, for tests of its worker: broker, table, clock and acknowledgements are the test's."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from headgate_runtime.errors import RejectedError, UnavailableError, UndecodableError
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import OutgoingRecord, Record
from headgate_runtime.testing import MemoryBroker, MemoryConsumer, MemoryProducer
from headgate_writer.commit import Committer
from headgate_writer.decode import BatchDecoder
from headgate_writer.maintenance.background import Background
from headgate_writer.maintenance.metrics import MaintenanceMetrics
from headgate_writer.maintenance.upkeep import Upkeep
from headgate_writer.metrics import WriterMetrics
from headgate_writer.outbox import Outbox
from headgate_writer.policy import CommitPolicy
from headgate_writer.positions import Incarnation
from headgate_writer.sink import Sink, SinkParts
from headgate_writer.testing import MemoryCatalog, MemoryTable
from headgate_writer.worker import WriterWorker

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.kafka.protocols import OnDelivery

TOPIC = Incarnation("events", "cluster", "id")
AT = pa.schema([pa.field("at", pa.timestamp("ms", tz="UTC"), nullable=False)])


class Letters:
    """Builds dead letters that are their source's position."""

    def record(self, source: Record, **_: Any) -> OutgoingRecord:
        return OutgoingRecord("events.dlq", f"{source.topic}/{source.partition}/{source.offset}".encode(), source.value)


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

    def close(self, timeout_s: float = 10.0) -> None:
        if self.waiting:
            raise UnavailableError(f"{len(self.waiting)} not acknowledged within {timeout_s} s")


@dataclass
class Replica:
    """One writer process: its worker, consumer and table handle, driven step by step."""

    broker: MemoryBroker
    catalog: MemoryCatalog
    group: str = "writer"
    producer: Any = None
    now: list[float] = field(default_factory=lambda: [0.0])
    life: Incarnation = TOPIC
    accepted_losses: tuple[str, ...] = ()
    max_buffered_bytes: int = 1 << 30
    make_sink: Callable[..., Sink] = Sink
    maintainers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.table = MemoryTable(self.catalog)
        self.consumer = MemoryConsumer(self.broker, self.group)
        self.values = Values()
        outbox = Outbox(self.producer or MemoryProducer(self.broker))
        parts = SinkParts(
            topic="events",
            table="lake.events",
            decoder=BatchDecoder(self.values, lambda _: None, AT, lambda: 0),
            letters=Letters(),  # type: ignore[arg-type]  # needs no registry
            outbox=outbox,
            committer=Committer(self.table, TOPIC, clock=self._clock, rng=random.SystemRandom()),
            policy=CommitPolicy(rows=100, size_bytes=1 << 30, interval_s=5),
            event_time=("at",),
        )
        self.sink = self.make_sink(parts, WriterMetrics(self.metrics), clock=self._clock, clock_ms=lambda: 2_000)
        upkeep = Upkeep(
            self.maintainers,
            Background(),
            MaintenanceMetrics(self.metrics),
            interval_s=1.0,
            clock=self._clock,
            rng=random.SystemRandom(),
        )
        self.worker = WriterWorker(
            {"events": self.sink},
            self.consumer,
            outbox,
            upkeep=upkeep,
            identify=lambda: {"events": self.life},
            max_buffered_bytes=self.max_buffered_bytes,
            accepted_losses=self.accepted_losses,
            clock=self._clock,
            wait=self._wait,
            rng=random.SystemRandom(),
        )
        worker = self.worker
        self.consumer.subscribe(["events"], on_assign=worker.assign, on_revoke=worker.revoke, on_lost=worker.lose)

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


def produce(broker: MemoryBroker, count: int, value: bytes = b"good") -> None:
    for index in range(count):
        broker.append(OutgoingRecord("events", None, value, partition=index % 2))


def everything(broker: MemoryBroker) -> list[tuple[int, int]]:
    return sorted((record.partition, record.offset) for record in broker.records("events"))
