"""Whether a table that is maintained by its writer stays as fast as it was: commits, planning, files, metadata.

One committer stores the contract's examples as fast as it can, and the upkeep runs between its commits and beside them,
as in the service; its interval and ages are shortened as much as commits follow each other faster than in production.
The measure of a commit at a point is the median of the 40 before it, batch handed over to landed: by the clock, and in
CPU time of the loop's thread, which holds on a machine that is busy with other things.

Run ``python -m tests.bench.maintenance [--commits N] [--long]`` from the root; writes build/bench/maintenance.json.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate_local.demo.report import percentile
from headgate_local.figures import write_figures
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import Record, TopicPartition
from headgate_schemas import Contracts
from headgate_writer.catalog import open_catalog
from headgate_writer.commit import Batch, Committer, Outcome
from headgate_writer.config import MaintainSettings
from headgate_writer.decode import BatchDecoder
from headgate_writer.maintenance.composition import upkeep_of
from headgate_writer.maintenance.retention import Retention
from headgate_writer.maintenance.stored import list_files
from headgate_writer.opening import open_table
from headgate_writer.positions import Incarnation
from headgate_writer.schema import decoded_schema

from tests.bench.figure_table import print_figures, rounded

if TYPE_CHECKING:
    import pyarrow as pa
    from headgate_schemas import TopicContract
    from pyiceberg.catalog import Catalog

ROOT = Path(__file__).parents[2]
TOPIC = Incarnation("enriched-events", "bench", "bench")
COMMITS, LONG_COMMITS, POINTS, WINDOW = 1_000, 10_000, 10, 40
PLACE = TopicPartition(TOPIC.topic, 0)
ROWS = 500
STEP_MS = 20_000
SETTINGS = MaintainSettings(interval_s=4, cold_s=60, expired_age_s=20, orphan_age_s=480, deletes_per_s=500)


def clock_ms() -> int:
    """Return milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Examples:
    """Decodes a number into the contract's example of that number, later in time with every batch."""

    def __init__(self, contracts: Contracts, contract: TopicContract) -> None:
        folder = contracts.directory / "examples" / contract.record
        self.events = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
        if not contract.fields.event_id or not contract.fields.event_time:
            raise RuntimeError("the bench varies id and time; the contract names neither")
        self._id, self._time = contract.fields.event_id, contract.fields.event_time

    def decode(self, value: bytes | None) -> dict[str, Any]:
        """Return the event."""
        number = int(value or b"0")
        event = self.events[number % len(self.events)]
        at = event[self._time] + number // ROWS * STEP_MS + number % ROWS * (STEP_MS // ROWS)
        return {**event, self._id: f"bench-{number:012x}", self._time: at}


@dataclass
class Bench:
    """A table with its committer and its upkeep.

    Attributes:
        commit_ms: Of every commit, by the clock.
        commit_cpu_ms: Of every commit, CPU time of the loop's thread.
        tend_ms: Of every call of the upkeep, which the loop waits for.
    """

    folder: Path
    commit_ms: list[float] = field(default_factory=list)
    commit_cpu_ms: list[float] = field(default_factory=list)
    tend_ms: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        contracts = Contracts.load()
        contract = contracts.topic(TOPIC.topic)
        if contract.table is None:
            raise RuntimeError(f"{TOPIC.topic} has no table")
        self.name = contract.table.name
        schema = decoded_schema(contracts.record(contract.record))
        self.decoder = BatchDecoder(Examples(contracts, contract), lambda _: None, schema, clock_ms)
        self.catalog: Catalog = open_catalog(
            {"name": "b", "type": "sql", "uri": f"sqlite:///{self.folder}/c.db", "warehouse": self.folder.as_uri()}
        )
        self.metrics = Metrics()
        table = open_table(self.catalog, contract.table, self.decoder.schema, retention=Retention())
        path = tuple((contract.fields.event_time or "").split("."))
        self.upkeep, keep = upkeep_of(SETTINGS, self.metrics, clock_ms)
        keep(table, path)
        self.committer = Committer(table, clock=time.monotonic, rng=random.SystemRandom())
        self.committer.meet(TOPIC)

    def rows(self, number: int) -> pa.Table:
        """Return the rows of a batch."""
        numbers = range(number * ROWS, (number + 1) * ROWS)
        records = [Record(TOPIC.topic, 0, each, 0, None, str(each).encode()) for each in numbers]
        rows, rejected = self.decoder.decode_batch(records)
        if rejected:
            raise RuntimeError(f"the examples are no rows: {rejected[0].message}")
        return rows

    def commit(self, number: int) -> None:
        """Store a batch, and let the upkeep take a step, as the writer's loop does."""
        rows = self.rows(number)
        began, began_cpu = time.perf_counter(), time.thread_time()
        self.committer.submit(Batch({PLACE: number * ROWS}, {PLACE: (number + 1) * ROWS}, rows))
        while (outcome := self.committer.advance()) is not Outcome.LANDED:
            if outcome is Outcome.FENCED:
                raise RuntimeError("fenced, although nobody else writes")
        landed = time.perf_counter()
        self.commit_cpu_ms.append((time.thread_time() - began_cpu) * 1000)
        self.upkeep.tend(self.name, leads=True, free=True)
        self.commit_ms.append((landed - began) * 1000)
        self.tend_ms.append((time.perf_counter() - landed) * 1000)

    def point(self) -> dict[str, float]:
        """Measure the table as it stands."""
        table = self.catalog.load_table(self.name)
        began = time.perf_counter()
        files = len(list(table.scan().plan_files()))
        plan_ms = (time.perf_counter() - began) * 1000
        snapshot = table.current_snapshot()
        stored = [file.size_bytes for file in list_files(table.metadata, table.io)]
        return {
            "commits": len(self.commit_ms),
            "commit_ms": statistics.median(self.commit_ms[-WINDOW:]),
            "commit_cpu_ms": statistics.median(self.commit_cpu_ms[-WINDOW:]),
            "plan_ms": plan_ms,
            "live_files": files,
            "manifests": len(snapshot.manifests(table.io)) if snapshot else 0,
            "metadata_bytes": len(table.io.new_input(table.metadata_location)),
            "snapshots": len(table.metadata.snapshots),
            "stored_files": len(stored),
            "stored_bytes": sum(stored),
        }

    def sample(self, name: str, **labels: str) -> float:
        """Read one of the maintenance's metrics."""
        name = f"headgate_writer_maintenance_{name}"
        return self.metrics.registry.get_sample_value(name, {"table": self.name, **labels}) or 0.0


def measure(folder: Path, commits: int) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Run the bench; return its figures and the points they come from."""
    bench = Bench(folder)
    every, points = commits // POINTS, []
    for number in range(commits):
        bench.commit(number)
        if (number + 1) % every == 0 or number + 1 == 100:
            points.append(bench.point())
    if bench.catalog.load_table(bench.name).scan().count() != commits * ROWS:
        raise RuntimeError("rows are missing or doubled")
    bench.upkeep.close()
    early = next(point for point in points if point["commits"] == 100)
    last = points[-1]
    figures = {
        "maintenance_commit_ms_at_100": early["commit_ms"],
        "maintenance_commit_ms_at_end": last["commit_ms"],
        "maintenance_commit_end_over_100": last["commit_ms"] / early["commit_ms"],
        "maintenance_commit_cpu_ms_at_100": early["commit_cpu_ms"],
        "maintenance_commit_cpu_ms_at_end": last["commit_cpu_ms"],
        "maintenance_commit_cpu_end_over_100": last["commit_cpu_ms"] / early["commit_cpu_ms"],
        "maintenance_commit_p99_ms": percentile(bench.commit_ms, 0.99),
        "maintenance_tend_p99_ms": percentile(bench.tend_ms, 0.99),
        "maintenance_tend_max_ms": max(bench.tend_ms),
        "maintenance_plan_ms_at_100": early["plan_ms"],
        "maintenance_plan_ms_at_end": last["plan_ms"],
        "maintenance_live_files_at_end": last["live_files"],
        "maintenance_metadata_bytes_at_end": last["metadata_bytes"],
        "maintenance_compactions": bench.sample("runs_total", kind="compact", outcome="done"),
        "maintenance_compacted_files": bench.sample("compacted_files_total"),
        "maintenance_deleted_files": bench.sample("deleted_files_total", kind="expired"),
        "maintenance_failed_rounds": bench.sample("runs_total", kind="round", outcome="failed"),
    }
    return figures, points


def main() -> int:
    """Run the bench and print, and write, its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=COMMITS, help="200 or more")
    parser.add_argument("--long", action="store_true", help=f"{LONG_COMMITS:,} commits")
    arguments = parser.parse_args()
    commits = LONG_COMMITS if arguments.long else max(200, arguments.commits)
    with tempfile.TemporaryDirectory() as folder:
        measured, points = measure(Path(folder), commits)
    figures = rounded(measured)
    details = {"commits": commits, "rows_a_commit": ROWS, "points": [rounded(point) for point in points]}
    path = write_figures("bench", "maintenance", figures, details=details, root=ROOT)
    print_figures(f"Maintenance over {commits:,} commits", figures, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
