"""A real table on a SQLite catalog with a maintainer that the test drives, and time that the test moves on."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from headgate_runtime.metrics import Metrics
from headgate_schemas import PartitionField, TableContract
from headgate_writer.catalog import open_catalog
from headgate_writer.maintenance.maintainer import DeletionPolicy, Maintainer, Work
from headgate_writer.maintenance.metrics import MaintenanceMetrics
from headgate_writer.maintenance.packing import CompactionPolicy
from headgate_writer.maintenance.reachability import Reachability, Survey
from headgate_writer.maintenance.retention import Retention
from headgate_writer.opening import open_table
from headgate_writer.positions import Incarnation
from headgate_writer.schema import stored_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from headgate_writer.iceberg import IcebergTable
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

TOPIC = Incarnation("events", "cluster", "id")
DECODED = pa.schema([pa.field("at", pa.timestamp("ms", tz="UTC"), nullable=False), pa.field("note", pa.string())])
SCHEMA = stored_schema(DECODED)
NAME = "lake.events"
DAY_US = 86_400_000_000
BY_DAY = (PartitionField(field="at", transform="day"),)


def rows(*offsets: int, partition: int = 0, days: int = 1) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "at": [offset % days * DAY_US + (1000 - offset) * 1_000_000 for offset in offsets],
        "note": [None] * len(offsets),
        "_topic": ["events"] * len(offsets),
        "_kafka_partition": [partition] * len(offsets),
        "_offset": list(offsets),
        "_ingested_at": [0] * len(offsets),
    }
    return pa.table(columns, schema=SCHEMA)


@dataclass
class UpkeptTable:
    """The table, its folder, and a maintainer; ``now`` is added to both of the maintainer's clocks."""

    folder: Path
    retention: Retention = field(default_factory=lambda: Retention(most=4, least=2))
    compaction: CompactionPolicy = field(default_factory=lambda: CompactionPolicy(fan_in=4, cold_s=1e9))
    deletion: DeletionPolicy = field(default_factory=lambda: DeletionPolicy(expired_age_s=10, orphan_age_s=100))
    partition_by: tuple[PartitionField, ...] = BY_DAY
    now: float = 0.0

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.catalog: Catalog = open_catalog(
            {
                "name": "test",
                "type": "sql",
                "uri": f"sqlite:///{self.folder}/c.db",
                "warehouse": f"file://{self.folder}/w",
            }
        )
        self.metrics = Metrics()
        self.writer = self.handle()
        self.maintainer = self.another_maintainer()
        self.next: dict[int, int] = {}

    def handle(self) -> IcebergTable:
        """Open the table once more, as another process would."""
        contract = TableContract(name=NAME, partition_by=self.partition_by)
        return open_table(self.catalog, contract, SCHEMA, retention=self.retention)

    def another_maintainer(self) -> Maintainer:
        return Maintainer(
            self.handle(),
            MaintenanceMetrics(Metrics()),
            compaction=self.compaction,
            deletion=self.deletion,
            event_time=("at",),
            clock=lambda: time.monotonic() + self.now,
            clock_ms=lambda: time.time_ns() // 1_000_000,
            rng=random.Random(1),  # noqa: S311 - jitter
        )

    def store(self, count: int = 1, *, partition: int = 0, days: int = 1) -> None:
        """Commit the next rows of a partition."""
        start = self.next.get(partition, 0)
        self.next[partition] = start + count
        head = self.writer.refresh()
        assert head.positions is not None
        written = self.writer.write(rows(*range(start, start + count), partition=partition, days=days))
        self.writer.commit(head, written, head.positions.advanced(TOPIC, {partition: start + count}))

    def later(self, seconds: float) -> None:
        """Let time pass: for the maintainer, and for the files that are there."""
        self.now += seconds
        for path in self.files():
            modified = path.stat().st_mtime - seconds
            os.utime(path, (modified, modified))

    def maintain(self, *, everything: bool = False) -> bool:
        """Do one round whole."""
        return drive(self.maintainer.round(everything=everything))

    def files(self) -> list[Path]:
        return [path for path in (self.folder / "w").rglob("*") if path.is_file()]

    def table(self) -> Table:
        return self.catalog.load_table(NAME)

    def survey(self) -> Survey:
        table = self.table()
        return Reachability().survey(table.metadata, table.metadata_location, table.io)

    def offsets(self) -> list[tuple[int, int]]:
        found = self.table().scan().to_arrow()
        return sorted(zip(found["_kafka_partition"].to_pylist(), found["_offset"].to_pylist(), strict=True))

    def stored(self) -> list[tuple[int, int]]:
        """What :meth:`store` has committed."""
        return [(partition, offset) for partition, end in sorted(self.next.items()) for offset in range(end)]

    def assert_whole(self) -> None:
        """Every file that any kept snapshot refers to is there, and the head has every row once."""
        missing = [path for path in self.survey().paths if not Path(path.removeprefix("file://")).exists()]
        assert missing == []
        assert self.offsets() == self.stored()
        positions = self.writer.refresh().positions
        assert positions is not None
        assert dict(positions.of(TOPIC)) == self.next

    def unreferenced(self) -> list[str]:
        """Names of files that nothing refers to."""
        return sorted(path.name for path in self.files() if path.name not in self.survey().names())


def drive(steps: Generator[Any, Any, bool], *, until: Callable[[Any], bool] = lambda _: False) -> bool:
    """Run a round on this thread without waiting, to its end or until something came out of it; then it is killed."""
    answer: Any = None
    while not until(answer):
        try:
            wait = steps.send(answer)
        except StopIteration as end:
            return bool(end.value)
        answer = wait.run() if isinstance(wait, Work) else None
    steps.close()
    return True
