"""Rows the writer stores per second of CPU, beside what consuming and writing the same rows costs at least.

The limit is the same records consumed by the bare client and the same rows, decoded beforehand, written by the bare
Parquet writer in batches as large as the writer's commits. Both are measured in the same run, in CPU seconds of the
process that does the work, so that they hold on a machine that is busy with other things.

Run ``python -m tests.bench.writer [--events N]`` from the root; writes build/bench/writer.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Consumer, TopicPartition
from headgate_local.catalog import create_tables
from headgate_local.figures import write_figures
from headgate_local.http_ready import http_not_ready
from headgate_local.processes import ProcessSpec, ServiceProcess
from headgate_local.stack import Stack
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord, Record
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.testing import eventually
from headgate_schemas import Contracts, compile_rules
from headgate_writer.decode import BatchDecoder
from headgate_writer.schema import decoded_schema
from pyiceberg.catalog import load_catalog

from tests.bench.figure_table import print_figures, rounded

ROOT = Path(__file__).parents[2]
TOPIC = "enriched-events"
TOKEN = "bench-control-token-0123456789"
COMMIT_ROWS = 50_000
SPREAD_MS = 1_000


@dataclass(frozen=True)
class Bench:
    """A stack with the topic full of events, and the same events at hand.

    Attributes:
        stack: Kafka, registry and catalog.
        contracts: The shipped contracts.
        values: The records' values as they are in the topic.
    """

    stack: Stack
    contracts: Contracts
    values: list[bytes]

    @classmethod
    def prepare(cls, stack: Stack, events: int) -> Bench:
        """Create topics, schemas and events; nothing is produced yet."""
        contracts = Contracts.load()
        registry = ConfluentRegistry(RegistrySettings(url=stack.registry_url))
        admin = KafkaAdmin(KafkaSettings(bootstrap_servers=stack.bootstrap_servers))
        for name in (TOPIC, contracts.topic(TOPIC).dead_letters or ""):
            topic = contracts.topic(name)
            admin.create(name, partitions=topic.partitions, config={})
            registry.register(topic.subject, contracts.record(topic.record).text)
        contract = contracts.topic(TOPIC)
        encoder = Encoder(registry, contract.subject, contracts.record(contract.record))
        create_tables(stack.catalog)
        return cls(stack, contracts, [encoder.encode(event) for event in varied(contracts, events)])

    def produce(self) -> None:
        """Send every event, evenly over the partitions."""
        partitions = self.contracts.topic(TOPIC).partitions
        settings = KafkaSettings(bootstrap_servers=self.stack.bootstrap_servers)
        with closing(KafkaProducer(settings, properties={"queue.buffering.max.messages": "2000000"})) as producer:
            for index, value in enumerate(self.values):
                producer.send(OutgoingRecord(TOPIC, None, value, partition=index % partitions))
            if producer.flush(120):
                raise RuntimeError("the events did not reach the broker in time")

    def rows(self) -> int:
        """Count the table's rows from metadata."""
        contract = self.contracts.topic(TOPIC).table
        catalog = load_catalog(**self.stack.catalog)
        return catalog.load_table(contract.name).scan().count() if contract else 0

    def writer_cpu_s(self, folder: Path) -> float:
        """Return the CPU seconds in which a real writer process stores all events."""
        token = folder / "token"
        token.write_text(TOKEN, "utf-8")
        port = self.stack.port("writer")
        url = f"http://127.0.0.1:{port}"
        environment = {
            "HEADGATE_WRITER_KAFKA__BOOTSTRAP_SERVERS": self.stack.bootstrap_servers,
            "HEADGATE_WRITER_REGISTRY__URL": self.stack.registry_url,
            "HEADGATE_WRITER_HTTP__PORT": str(port),
            "HEADGATE_WRITER_HTTP__CONTROL_TOKEN_FILE": str(token),
            "HEADGATE_WRITER_INSTANCE": "bench",
            "HEADGATE_WRITER_CATALOG": json.dumps(self.stack.catalog),
            "HEADGATE_WRITER_COMMIT_ROWS": str(COMMIT_ROWS),
            "HEADGATE_WRITER_COMMIT_INTERVAL_S": "5",
        }
        command = [sys.executable, "-m", "headgate_writer"]
        spec = ProcessSpec("writer", command, folder, lambda: http_not_ready(f"{url}/readyz"), environment)
        writer = ServiceProcess(spec)
        writer.start()
        try:
            writer.wait_ready()
            control(url, "pause")
            self.produce()
            process = psutil.Process(writer.worker_pid)
            before = cpu_s(process)
            control(url, "resume")
            eventually(lambda: self.rows() >= len(self.values), 300)
            return cpu_s(process) - before
        finally:
            writer.stop()

    def consume_cpu_s(self) -> float:
        """Return the CPU seconds in which the bare client consumes all events and touches their values."""
        consumer = Consumer(
            {"bootstrap.servers": self.stack.bootstrap_servers, "group.id": "limit", "enable.auto.commit": False}
        )
        with closing(consumer):
            consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(self.contracts.topic(TOPIC).partitions)])
            began, size, left = time.process_time(), 0, len(self.values)
            while left:
                values = [message.value() for message in consumer.consume(5_000, 1.0) if message.error() is None]
                size += sum(map(len, values))
                left -= len(values)
            spent = time.process_time() - began
        if size != sum(map(len, self.values)):
            raise RuntimeError("the client did not consume what was produced")
        return spent

    def parquet_cpu_s(self, folder: Path) -> float:
        """Return the CPU seconds in which the bare Parquet writer writes all rows."""
        rows = self.decoded()
        began = time.process_time()
        for start in range(0, rows.num_rows, COMMIT_ROWS):
            pq.write_table(rows.slice(start, COMMIT_ROWS), folder / f"{start}.parquet", compression="zstd")
        return time.process_time() - began

    def decoded(self) -> pa.Table:
        """Return all events as rows."""
        contract = self.contracts.topic(TOPIC)
        record = self.contracts.record(contract.record)
        registry = ConfluentRegistry(RegistrySettings(url=self.stack.registry_url))
        decoder = BatchDecoder(
            Decoder(registry, record), compile_rules(contract), decoded_schema(record), lambda: int(time.time() * 1000)
        )
        rows, rejected = decoder.decode_batch(
            [Record(TOPIC, 0, offset, 0, None, value) for offset, value in enumerate(self.values)]
        )
        if rejected:
            raise RuntimeError(f"the bench's events are no rows: {rejected[0].message}")
        return rows.combine_chunks()


def varied(contracts: Contracts, events: int) -> list[dict[str, Any]]:
    """Return events as the contract's examples have them, each with an id and a time of its own."""
    contract = contracts.topic(TOPIC)
    folder = contracts.directory / "examples" / contract.record
    examples = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    id_field, time_field = contract.fields.event_id, contract.fields.event_time
    if not id_field or not time_field or "." in id_field + time_field:
        raise RuntimeError("the bench varies top-level id and time fields; the contract has them elsewhere")
    return [
        {
            **(example := examples[index % len(examples)]),
            id_field: f"bench-{index:012x}",
            time_field: example[time_field] + index % SPREAD_MS,
        }
        for index in range(events)
    ]


def control(url: str, action: str) -> None:
    """Call a control endpoint."""
    httpx.post(f"{url}/control/{action}", headers={"Authorization": f"Bearer {TOKEN}"}).raise_for_status()


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(folder: Path, events: int) -> dict[str, float]:
    """Measure and return the figures."""
    with Stack(folder / "stack", reserve=["writer"]) as stack:
        bench = Bench.prepare(stack, events)
        writer_s = bench.writer_cpu_s(folder)
        stored = bench.rows()
        if stored != events:
            raise RuntimeError(f"{events} events became {stored} rows")
        limit_s = bench.consume_cpu_s() + bench.parquet_cpu_s(folder)
    return {
        "writer_rows_per_cpu_s": events / writer_s,
        "writer_limit_rows_per_cpu_s": events / limit_s,
        "writer_share_of_limit": limit_s / writer_s,
    }


def main() -> int:
    """Run the bench; 0 where every event became one row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as folder:
        figures = rounded(measure(Path(folder), events))
    path = write_figures("bench", "writer", figures, details={"events": events}, root=ROOT)
    print_figures(f"Writer, {events:,} events", figures, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
