"""A person is erased from a platform under load: nothing of the person is left, nothing of anybody else is lost.

The real stack, two enrichers and two writers that compact all the time. One person's events stop, everybody else's go
on; then ``headgate erase``. What is left is looked for by other means than the command's own: every snapshot of every
table is scanned, and the compacted topic is read. Run it by ``make check-erasure``; the figures go to
``build/check/erasure.json``, and it exits with 1 where one is out of bounds.
"""

from __future__ import annotations

import copy
import itertools
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from headgate_local.platform import Platform, Replicas
from headgate_runtime.avro import Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.compacted import read_compacted
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.testing import eventually
from headgate_schemas import Contracts, field_getter
from pyiceberg.catalog import load_catalog
from pyiceberg.expressions import EqualTo

from tests.load.bounds import Bound, report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.table import Table

PERSON: Final = "user-0"
PEOPLE: Final = [f"user-{number}" for number in range(60)]
SOURCE, MEMORY = "raw-events", "enricher-memory"
KEY = "payload.attributes.user_id"
KEYED_TABLES = ("lakehouse.enriched_events", "lakehouse.review_outcomes")
START_MS, END_MS = 1_760_000_000_000, 1_760_086_400_000
EVENTS_A_SECOND, LEAST_OF_THE_PERSON, AFTER_S = 200, 30, 5
MAINTAIN = {"interval_s": 1, "compact_files": 3}
SERVICES = (
    Replicas("enricher", 2),
    Replicas(
        "writer",
        2,
        {"HEADGATE_WRITER_COMMIT_INTERVAL_S": "0.3", "HEADGATE_WRITER_MAINTAIN": json.dumps(MAINTAIN)},
    ),
)
BOUNDS = (
    Bound("rows_before", at_least=LEAST_OF_THE_PERSON),
    Bound("snapshots_before", at_least=2),
    Bound("state_before", at_least=1),
    Bound("rows_erased", at_least=LEAST_OF_THE_PERSON),
    Bound("rows_left", at_most=0),
    Bound("snapshots_with_rows", at_most=0),
    Bound("state_left", at_most=0),
    Bound("told_incomplete", at_most=0),
    Bound("topics_told_to_age_out", at_least=5),
    Bound("commits_meanwhile", at_least=2),
    Bound("lost", at_most=0),
    Bound("doubled", at_most=0),
)


class Load:
    """Events at a steady pace from a thread of its own, until stopped.

    Attributes:
        sent: Event ids of everybody, the person's included.
        of_person: Event ids of the person.
    """

    def __init__(self, kafka: KafkaSettings, registry: ConfluentRegistry) -> None:
        contracts = Contracts.load()
        contract = contracts.topic(SOURCE)
        self.sent: list[str] = []
        self.of_person: list[str] = []
        self.silent = threading.Event()
        self._key_of = field_getter(KEY)
        self._encoder = Encoder(registry, contract.subject, contracts.record(contract.record))
        self._producer = KafkaProducer(kafka)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; everything sent is acknowledged."""
        self._stopped.set()
        self._thread.join(30)
        if self._producer.flush(30):
            raise RuntimeError("the brokers do not take the events")

    def _run(self) -> None:
        for event in self._events():
            if self._stopped.wait(1 / EVENTS_A_SECOND):
                return
            key = self._key_of(event)
            if key == PERSON and self.silent.is_set():
                continue
            self._producer.send(OutgoingRecord(SOURCE, key.encode(), self._encoder.encode(event)))
            self._producer.poll()
            self.sent.append(event["event_id"])
            if key == PERSON:
                self.of_person.append(event["event_id"])

    def _events(self) -> Iterator[dict[str, Any]]:
        generate = entry_points(group="headgate.generators")["risk"].load()
        numbers = itertools.count()
        for seed in itertools.count():
            for event, _ in generate(seed=seed, events=2_000, start_ms=START_MS, end_ms=END_MS, keys=PEOPLE):
                yield copy.deepcopy(dict(event)) | {"event_id": f"erasure-{next(numbers)}"}


class Lakehouse:
    """The tables, looked at without the command's code."""

    def __init__(self, platform: Platform) -> None:
        own = dict(platform.stack.catalog)
        self._catalog = load_catalog(own.pop("name"), **own)

    def tables(self) -> list[Table]:
        """The tables with the person's key that are there."""
        return [self._catalog.load_table(name) for name in KEYED_TABLES if self._catalog.table_exists(name)]

    def rows(self) -> int:
        """Rows of the person in the heads."""
        return sum(_rows(table, None) for table in self.tables())

    def snapshots(self) -> int:
        """Snapshots that show rows of the person."""
        return sum(
            _rows(table, snapshot.snapshot_id) > 0 for table in self.tables() for snapshot in table.metadata.snapshots
        )

    def event_ids(self) -> Counter[str]:
        """How often each event is stored."""
        table = self._catalog.load_table(KEYED_TABLES[0])
        return Counter(table.scan(selected_fields=("event_id",)).to_arrow().column("event_id").to_pylist())

    def commits(self) -> int:
        """The newest commit's number."""
        return self._catalog.load_table(KEYED_TABLES[0]).metadata.last_sequence_number


def _rows(table: Table, snapshot_id: int | None) -> int:
    scan = table.scan(row_filter=EqualTo(term=KEY, value=PERSON), selected_fields=(KEY,), snapshot_id=snapshot_id)
    return scan.to_arrow().num_rows


def main() -> int:
    """Load, erase, look, print and write the figures; 1 where one is out of bounds."""
    with tempfile.TemporaryDirectory() as scratch, Platform(Path(scratch), services=SERVICES) as platform:
        kafka = KafkaSettings(bootstrap_servers=platform.stack.bootstrap_servers)
        load = Load(kafka, ConfluentRegistry(RegistrySettings(url=platform.stack.registry_url)))
        lake = Lakehouse(platform)
        load.start()
        eventually(lambda: len(load.of_person) >= LEAST_OF_THE_PERSON, 120)
        load.silent.set()
        eventually(lambda: bool(lake.tables()) and lake.rows() >= len(load.of_person), 60)
        figures: dict[str, float] = {
            "rows_before": lake.rows(),
            "snapshots_before": lake.snapshots(),
            "state_before": states(kafka),
        }
        commits = lake.commits()
        began = time.monotonic()
        account = erase(platform)
        figures |= {
            "erase_s": round(time.monotonic() - began, 2),
            "rows_erased": sum(table["erased"] for table in account["tables"]),
            "snapshots_expired": sum(table["snapshots"] for table in account["tables"]),
            "files_deleted": sum(table["deleted_files"] for table in account["tables"]),
            "conflicts": sum(table["conflicts"] for table in account["tables"]),
            "told_incomplete": len(account["problems"]),
            "topics_told_to_age_out": sum(topic["gone_by"] is not None for topic in account["fading_topics"]),
        }
        until = len(load.sent) + AFTER_S * EVENTS_A_SECOND
        eventually(lambda: len(load.sent) >= until, 60)
        figures["commits_meanwhile"] = lake.commits() - commits
        load.stop()
        others = set(load.sent) - set(load.of_person)
        with suppress(AssertionError):  # then the figure says how many are lost
            eventually(lambda: others <= lake.event_ids().keys(), 120)
        stored = lake.event_ids()
        figures |= {
            "events": len(load.sent),
            "rows_left": lake.rows(),
            "snapshots_with_rows": lake.snapshots(),
            "state_left": states(kafka),
            "lost": len(others - stored.keys()),
            "doubled": sum(count - 1 for count in stored.values()),
        }
    return report("check", "erasure", figures, BOUNDS, {"account": account})


def states(kafka: KafkaSettings) -> int:
    """Keys of the person with a value in the agents' memory."""
    partitions = range(Contracts.load().topic(MEMORY).partitions)
    found = read_compacted(kafka, MEMORY, partitions, 30)
    return sum(key.endswith(f"/{PERSON}".encode()) for _, key in found)


def erase(platform: Platform) -> dict[str, Any]:
    """Run the command and return what it says."""
    endpoints = platform.endpoints
    environment = os.environ | {
        "HEADGATE_ADMIN_KAFKA__BOOTSTRAP_SERVERS": endpoints.bootstrap_servers,
        "HEADGATE_ADMIN_CATALOG": json.dumps(endpoints.catalog),
        "HEADGATE_ADMIN_ENRICHERS": json.dumps([platform.url(f"enricher-{number}") for number in range(2)]),
        "HEADGATE_ADMIN_CONTROL_TOKEN_FILE": str(endpoints.control_token_file),
    }
    command = [str(Path(sysconfig.get_path("scripts")) / "headgate"), "erase"]
    command += ["--user", PERSON, "--by", "check-erasure", "--yes", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    sys.stderr.write(done.stderr)
    account: dict[str, Any] = json.loads(done.stdout)
    if "errors" in account:
        raise RuntimeError(f"headgate erase failed: {account['errors']}")
    return account


if __name__ == "__main__":
    sys.exit(main())
