"""How fast the producer is: its whole path (map, check, encode, send) beside a bare client that sends the same bytes.

Run it from the project's root: ``python -m tests.bench.producer``. It starts an embedded stack of its own; the figures
go to ``build/bench/producer.json``.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer
from headgate_local.figures import write_figures
from headgate_local.stack import Stack
from headgate_producer.config import Settings
from headgate_producer.files import RowFile
from headgate_producer.mapping import load_mapping
from headgate_producer.preparation import Preparation
from headgate_producer.replay import replay
from headgate_producer.rowmapper import RowMapper
from headgate_producer.runs import ReplayPlan, Run, execute
from headgate_runtime.avro import Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.producer import PREFERENCES
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

from tests.bench.figure_table import print_figures, rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW_MS = 1_800_000_000_000
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Speed:
    """One round: events acknowledged a second of wall time, and CPU time of the sending thread an event."""

    events_per_s: float
    cpu_us: float


def main() -> int:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=70_000, help="events a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the median counts, the first is left out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        purchases = _purchases(folder / "purchases.txt", arguments.events)
        with Stack(folder / "stack") as stack:
            settings = _settings(stack)
            records = _prepared(settings, purchases)
            run = Run((ReplayPlan(purchases, "cdnow"),), NOW_MS, None, None, folder / "rejects", folder / "labels")
            # The two take turns, so that both meet the same broker and the same neighbours on this machine.
            pairs = [(_full(run, settings), _bare(settings, records)) for _ in range(arguments.rounds + 1)][1:]
    median = statistics.median
    figures = rounded(
        {
            "producer_events_per_s": median(ours.events_per_s for ours, _ in pairs),
            "producer_bare_librdkafka_events_per_s": median(bare.events_per_s for _, bare in pairs),
            "producer_share_of_librdkafka": median(ours.events_per_s / bare.events_per_s for ours, bare in pairs),
            "producer_cpu_us_per_event": median(ours.cpu_us for ours, _ in pairs),
            "producer_bare_librdkafka_cpu_us_per_event": median(bare.cpu_us for _, bare in pairs),
        }
    )
    rounds = [{"ours": asdict(ours), "bare": asdict(bare)} for ours, bare in pairs]
    details = {"events": arguments.events, "rounds": rounds, "mapping": "cdnow"}
    path = write_figures("bench", "producer", figures, details=details, root=ROOT)
    print_figures(f"Producer, {arguments.events:,} events a round", figures, path)
    return 0


def _purchases(path: Path, rows: int) -> Path:
    """A purchase log in the public one's layout, of any size."""
    draw = random.Random(1)  # noqa: S311 - bench data
    with path.open("w") as file:
        file.write(" customer_id  date number_of_cds  dollar_value\n")
        for row in range(rows):
            day = f"1997{draw.randint(1, 12):02d}{draw.randint(1, 28):02d}"
            file.write(f" {row // 3:05d} {day}  {draw.randint(1, 9)}  {draw.uniform(1, 99):6.2f}\n")
    return path


def _settings(stack: Stack) -> Settings:
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=stack.bootstrap_servers),
        registry=RegistrySettings(url=stack.registry_url),
    )
    contracts = Contracts.load()
    topic = contracts.topic(settings.topic)
    KafkaAdmin(settings.kafka).create(topic.topic, partitions=topic.partitions, config={})
    ConfluentRegistry(settings.registry).register(topic.subject, contracts.record(topic.record).text)
    return settings


def _prepared(settings: Settings, purchases: Path) -> list[OutgoingRecord]:
    """The records of the full path, ready to send."""
    contracts = Contracts.load()
    topic = contracts.topic(settings.topic)
    record = contracts.record(topic.record)
    spec = load_mapping("cdnow", contracts.directory / "mappings")
    file = RowFile(purchases, spec.source)
    preparation = Preparation(topic, record, Encoder(ConfluentRegistry(settings.registry), topic.subject, record))
    candidates = replay(file, RowMapper(spec, file, topic, record), spec.time, now_ms=NOW_MS)
    prepared = [preparation.prepare(candidate.event or {}) for candidate in candidates]
    records = [one for one in prepared if isinstance(one, OutgoingRecord)]
    if len(records) != len(prepared):
        raise RuntimeError("the bench's own events break the contract")
    return records


def _full(run: Run, settings: Settings) -> Speed:
    cpu_s = time.thread_time()
    summary = execute(run, settings)
    cpu_s = time.thread_time() - cpu_s
    if summary.acknowledged != summary.read:
        raise RuntimeError(f"not every event was acknowledged: {summary}")
    return Speed(summary.acknowledged / summary.seconds, cpu_s / summary.acknowledged * 1e6)


def _bare(settings: Settings, records: Sequence[OutgoingRecord]) -> Speed:
    """The client alone, set as ours is, with the delivery callback without which nothing is known to have arrived."""
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers, **PREFERENCES})
    delivered = 0

    def on_delivery(error: Any, _: Any) -> None:
        nonlocal delivered
        delivered += error is None

    began, cpu_s = time.monotonic(), time.thread_time()
    for record in records:
        while True:
            try:
                producer.produce(
                    record.topic, record.value, record.key, on_delivery=on_delivery, headers=list(record.headers)
                )
            except BufferError:
                producer.poll(0.005)
            else:
                break
        producer.poll(0)
    producer.flush(30.0)
    seconds, cpu_s = time.monotonic() - began, time.thread_time() - cpu_s
    if delivered != len(records):
        raise RuntimeError(f"{len(records) - delivered} records were not acknowledged")
    return Speed(delivered / seconds, cpu_s / delivered * 1e6)


if __name__ == "__main__":
    sys.exit(main())
