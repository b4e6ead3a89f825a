"""Holds the processor's windows against a batch computation of the same events, while processors are killed.

200,000 events, one in twenty out of order, through two processors, each of which is killed once in the middle. Writes
``build/check/windows.json`` and exits with 1 where a window is missing, doubled or has another figure. Run it from the
project's root: ``make check-windows``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate_local.platform import Platform, Replicas
from headgate_local.progress import PlainProgress
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

from tests.load.bounds import Bound, report
from tests.load.decided import ACCURACY, DAY, HOUR, Batch, closer, events

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headgate_local.endpoints import Endpoints

SOURCE, PROFILES, METRICS, LATE = "enriched-events", "account-profiles", "decision-metrics", "enriched-events.late"
SETTINGS = {"HEADGATE_PROCESSOR_MAX_AHEAD_S": "10000000"}  # closers are dated far ahead
ACCOUNTS = 500
SPAN_MS = 2 * HOUR
CLOSE_AFTER_MS = 2 * DAY
TIMEOUT_S = 300.0
LOOK_S = 0.1
BOUNDS = (
    Bound("windows", at_least=1),
    *(Bound(name, at_least=0, at_most=0) for name in ("unequal", "missing", "doubled", "foreign", "late")),
    Bound("worst_percentile_error", at_most=ACCURACY),
    Bound("kills", at_least=2),
)


class Lake:
    """The topics of a platform, for one who fills the first and reads the others."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._kafka = KafkaSettings(bootstrap_servers=endpoints.bootstrap_servers)
        self._registry = ConfluentRegistry(RegistrySettings(url=endpoints.registry_url))
        self._contracts = Contracts.load()
        self._admin = KafkaAdmin(self._kafka)
        contract = self._contracts.topic(SOURCE)
        self._encoder = Encoder(self._registry, contract.subject, self._contracts.record(contract.record))
        self._producer = KafkaProducer(self._kafka)

    def send(self, values: Sequence[dict[str, Any]]) -> None:
        """Send events, each to its account's partition."""
        for value in values:
            key = value["payload"]["attributes"]["user_id"].encode()
            self._producer.send(OutgoingRecord(SOURCE, key, self._encoder.encode(value)))
        if self._producer.flush(TIMEOUT_S):
            raise TimeoutError("events were not acknowledged")

    def close_windows(self, at: int) -> None:
        """Send an event to each partition at which all windows are over."""
        for place in self._partitions(SOURCE):
            value = self._encoder.encode(closer(place.partition, at))
            self._producer.send(OutgoingRecord(SOURCE, b"closer", value, partition=place.partition))
        if self._producer.flush(TIMEOUT_S):
            raise TimeoutError("events were not acknowledged")

    def written(self, topic: str) -> int:
        """Records of a topic, marks of transactions among them."""
        return sum(self._admin.high_watermarks(self._partitions(topic)).values())

    def read(self, topic: str) -> list[dict[str, Any]]:
        """Values of all committed records."""
        contract = self._contracts.topic(topic)
        decoder = Decoder(self._registry, self._contracts.record(contract.record))
        found: list[dict[str, Any]] = []
        starts = dict.fromkeys(self._partitions(topic), 0)
        read_range(self._kafka, starts, lambda record: found.append(decoder.decode(record.value)), TIMEOUT_S)
        return found

    def _partitions(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self._admin.topics()[topic].partitions)]


def main() -> int:
    """Run, print and write the figures; 1 where one is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    arguments = parser.parse_args()
    start_ms = int(time.time() * 1000) // DAY * DAY - DAY
    decided = list(events(arguments.events, accounts=ACCOUNTS, start_ms=start_ms, span_ms=SPAN_MS))
    with tempfile.TemporaryDirectory() as scratch:
        services = [Replicas("processor", 2, SETTINGS)]
        with Platform(Path(scratch), services=services, progress=PlainProgress(sys.stderr)) as platform:
            lake, kills = Lake(platform.endpoints), 0
            third = len(decided) // 3
            for number, part in enumerate((decided[:third], decided[third : 2 * third], decided[2 * third :])):
                before = lake.written(PROFILES)
                lake.send(part)
                if number < 2:
                    _until(lambda before=before: lake.written(PROFILES) > before)
                    platform.processes[f"processor-{number}"].kill9()
                    kills += 1
            lake.close_windows(start_ms + CLOSE_AFTER_MS)
            batch = Batch(decided)
            _settled(lambda: lake.written(PROFILES) + lake.written(METRICS))
            compared = batch.compare(lake.read(PROFILES), lake.read(METRICS))
            late = len(lake.read(LATE))
    figures = {**compared.figures(), "late": late, "kills": kills, "events": arguments.events}
    return report("check", "windows", figures, BOUNDS, {"accounts": ACCOUNTS, "unequal": compared.examples})


def _until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError("the processor does not get on; see its log")
        time.sleep(LOOK_S)


def _settled(count: Callable[[], int]) -> None:
    """Wait until a count stands still for a while."""
    seen, since_s = count(), time.monotonic()

    def still() -> bool:
        nonlocal seen, since_s
        if (now := count()) != seen:
            seen, since_s = now, time.monotonic()
        return time.monotonic() - since_s > 15

    _until(still)


if __name__ == "__main__":
    sys.exit(main())
