"""What the writer's bench runs: a backlog stored by a writer process, by the bare parts, and by the usual loop.

CPU seconds are those of the process that does the work, so that the figures hold on a machine that is busy.
"""

from __future__ import annotations

import io
import json
import secrets
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Consumer, TopicPartition
from fastavro import parse_schema, schemaless_reader
from headgate_local.http_ready import http_not_ready
from headgate_local.processes import ProcessSpec, ServiceProcess
from headgate_runtime.avro import FRAME_BYTES, Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.testing import eventually
from headgate_schemas import Contracts
from headgate_writer.config import Settings
from headgate_writer.schema import decoded_schema
from pyiceberg.catalog import load_catalog

from tests.bench.parquet_rows import TOPIC, events, stored_rows
from tests.load.sqlite_catalog import create_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from headgate_local.stack import Stack
    from headgate_schemas import TableContract

TOKEN = secrets.token_hex(16)
COMMIT_ROWS = Settings.model_fields["commit_rows"].default
KEYS, SPREAD_MS = 50_000, 1_000_000
STORED_WITHIN_S = 300.0


@dataclass(frozen=True)
class Bench:
    """A stack with the topic's events at hand; a context of :meth:`writing` has a writer process.

    Attributes:
        stack: Kafka, registry and catalog.
        folder: Scratch space.
        contracts: The contracts that the writer reads, the shipped ones but for what a run changes.
        values: Values of the topic, encoded.
    """

    stack: Stack
    folder: Path
    contracts: Contracts
    values: Sequence[bytes]

    @classmethod
    def prepare(cls, stack: Stack, folder: Path, count: int) -> Bench:
        """Create topics, schemas and events; nothing is produced yet."""
        contracts = Contracts.load()
        registry = ConfluentRegistry(RegistrySettings(url=stack.registry_url))
        contract = contracts.topic(TOPIC)
        for name in filter(None, (TOPIC, contract.dead_letters)):
            topic = contracts.topic(name)
            registry.register(topic.subject, contracts.record(topic.record).text)
        encoder = Encoder(registry, contract.subject, contracts.record(contract.record))
        create_tables(stack.catalog)
        values = [encoder.encode(event) for event in events(count, keys=KEYS, spread_ms=SPREAD_MS)]
        return cls(stack, folder, contracts, values)

    @property
    def table(self) -> TableContract:
        """The topic's table."""
        table = self.contracts.topic(TOPIC).table
        if table is None:
            raise RuntimeError(f"{TOPIC} has no table")
        return table

    def start_over(self) -> None:
        """Make topics and table anew, empty."""
        admin = KafkaAdmin(KafkaSettings(bootstrap_servers=self.stack.bootstrap_servers))
        catalog = load_catalog(**self.stack.catalog)
        if catalog.table_exists(self.table.name):
            catalog.drop_table(self.table.name)
        for name in filter(None, (TOPIC, self.contracts.topic(TOPIC).dead_letters)):
            if name in admin.topics():
                admin.delete(name)
                eventually(partial(_gone, admin, name), 30)
            admin.create(name, partitions=self.contracts.topic(name).partitions, config={})

    def producer(self) -> KafkaProducer:
        """Return a producer that takes all values at once."""
        settings = KafkaSettings(bootstrap_servers=self.stack.bootstrap_servers)
        return KafkaProducer(settings, properties={"queue.buffering.max.messages": "2000000"})

    def produce(self) -> None:
        """Send every value, evenly over the partitions."""
        partitions = self.contracts.topic(TOPIC).partitions
        with closing(self.producer()) as producer:
            for index, value in enumerate(self.values):
                producer.send(OutgoingRecord(TOPIC, None, value, partition=index % partitions))
            if producer.flush(120):
                raise RuntimeError("the events did not reach the broker in time")

    def rows(self) -> int:
        """Count the table's rows from metadata."""
        return load_catalog(**self.stack.catalog).load_table(self.table.name).scan().count()

    @contextmanager
    def writing(self, **settings: str) -> Iterator[ServiceProcess]:
        """Run a writer process on empty topic and table."""
        self.start_over()
        token = self.folder / "token"
        token.write_text(TOKEN, "utf-8")
        port = self.stack.port("writer")
        environment = {
            "HEADGATE_WRITER_KAFKA__BOOTSTRAP_SERVERS": self.stack.bootstrap_servers,
            "HEADGATE_WRITER_REGISTRY__URL": self.stack.registry_url,
            "HEADGATE_WRITER_HTTP__PORT": str(port),
            "HEADGATE_WRITER_HTTP__CONTROL_TOKEN_FILE": str(token),
            "HEADGATE_WRITER_INSTANCE": "bench",
            "HEADGATE_WRITER_TOPICS": json.dumps([TOPIC]),
            "HEADGATE_WRITER_CATALOG": json.dumps(self.stack.catalog),
            "HEADGATE_WRITER_CONTRACTS_DIR": str(self.contracts.directory),
            **settings,
        }
        command = [sys.executable, "-m", "headgate_writer"]
        ready = f"http://127.0.0.1:{port}/readyz"
        writer = ServiceProcess(ProcessSpec("writer", command, self.folder, lambda: http_not_ready(ready), environment))
        writer.start()
        try:
            writer.wait_ready()
            yield writer
        finally:
            writer.stop()

    def control(self, action: str) -> None:
        """Call a control endpoint of the writer."""
        url = f"http://127.0.0.1:{self.stack.port('writer')}/control/{action}"
        httpx.post(url, headers={"Authorization": f"Bearer {TOKEN}"}).raise_for_status()

    def writer_cpu_s(self, **settings: str) -> float:
        """Return the CPU seconds in which a writer process with its own settings stores all values."""
        with self.writing(**settings) as writer:
            self.control("pause")
            self.produce()
            process = psutil.Process(writer.worker_pid or writer.pid)
            before = cpu_s(process)
            self.control("resume")
            eventually(lambda: self.rows() >= len(self.values), STORED_WITHIN_S)
            spent = cpu_s(process) - before
        if (stored := self.rows()) != len(self.values):
            raise RuntimeError(f"{len(self.values)} values became {stored} rows")
        return spent

    def consume_cpu_s(self) -> float:
        """Return the CPU seconds in which the bare client consumes all values and touches them."""
        consumer = Consumer(
            {"bootstrap.servers": self.stack.bootstrap_servers, "group.id": "limit", "enable.auto.commit": False}
        )
        with closing(consumer):
            consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(self.contracts.topic(TOPIC).partitions)])
            began, size, left = time.process_time(), 0, len(self.values)
            while left:
                values = [message.value() for message in consumer.consume(5_000, 1.0) if message.error() is None]
                size += sum(len(value or b"") for value in values)
                left -= len(values)
            spent = time.process_time() - began
        if size != sum(len(value) for value in self.values):
            raise RuntimeError("the client did not consume what was produced")
        return spent

    def parquet_cpu_s(self) -> float:
        """Return the CPU seconds in which the bare Parquet writer writes the rows, in commits as large as the writer's."""
        rows = stored_rows(len(self.values), keys=KEYS, spread_ms=SPREAD_MS)
        began = time.process_time()
        for start in range(0, rows.num_rows, COMMIT_ROWS):
            pq.write_table(rows.slice(start, COMMIT_ROWS), self.folder / f"{start}.parquet", compression="zstd")
        return time.process_time() - began

    def usual_cpu_s(self, count: int) -> float:
        """Return the CPU seconds in which fastavro, Arrow and pyiceberg's append store so many of the values.

        What consuming costs is not in it.
        """
        record = self.contracts.record(self.contracts.topic(TOPIC).record)
        schema, columns = parse_schema(record.raw), decoded_schema(record)
        catalog = load_catalog(**self.stack.catalog)
        table = catalog.create_table("lakehouse.usual", schema=columns)
        began = time.process_time()
        for start in range(0, count, COMMIT_ROWS):
            values = self.values[start : min(count, start + COMMIT_ROWS)]
            decoded: list[Any] = [
                schemaless_reader(io.BytesIO(value[FRAME_BYTES:]), schema, schema) for value in values
            ]
            table.append(pa.Table.from_struct_array(pa.array(decoded, pa.struct(list(columns)))))
        spent = time.process_time() - began
        catalog.drop_table("lakehouse.usual")
        return spent


def _gone(admin: KafkaAdmin, topic: str) -> bool:
    return topic not in admin.topics()


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)
