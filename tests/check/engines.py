"""One table, read by engines that share no code with the writer: DuckDB and Spark see what pyiceberg sees.

Real writers store two versions of a record while maintenance compacts, so the table has evolved and its files were
written anew. Run it by ``make check-engines``, which installs Spark (0.5 GB) into a folder of its own and takes Java from the PATH; the figures go to
``build/check/engines.json``, and it exits with 1 where one is out of bounds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from headgate_local.artifacts import Artifact, LockedArtifact, fetch_all
from headgate_local.fixtures import Brokers
from headgate_local.maven import MavenCentral
from headgate_local.processes import ServiceProcess
from headgate_local.progress import PlainProgress
from headgate_local.stack import Stack
from headgate_runtime.avro import Encoder
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.testing import eventually

from tests.integration.evolving import evolved, newer, rows_by_duckdb, rows_by_pyiceberg, send
from tests.integration.writers import World, running
from tests.load.bounds import ROOT, Bound, report

if TYPE_CHECKING:
    from pyiceberg.table import Table

TOPIC = "engines"
ROUNDS, EVENTS_A_ROUND = 6, 1_000
MAINTAIN = {"interval_s": 0.5, "least_snapshots": 2, "compact_files": 2, "expired_age_s": 1}
SETTINGS = {"HEADGATE_WRITER_MAINTAIN": json.dumps(MAINTAIN), "HEADGATE_WRITER_COMMIT_ROWS": "300"}
QUERY = "SELECT * FROM {source} ORDER BY _kafka_partition, _offset"
SPARK = ROOT / "build" / "spark"
RUNTIME = LockedArtifact(
    Artifact("org.apache.iceberg", "iceberg-spark-runtime-4.0_2.13", "1.10.1"),
    "2192a0881ed0f5773b5a83a8820d2b0b2069beec203028643a1c338551007f09",
    47_083_764,
)
ENGINES = ("duckdb", "spark")
BOUNDS = (
    Bound("rows", at_least=ROUNDS * EVENTS_A_ROUND, at_most=ROUNDS * EVENTS_A_ROUND),
    Bound("rows_of_the_new_version", at_least=1),
    Bound("compactions", at_least=1),
    *(
        Bound(f"{engine}_{what}", at_most=0)
        for engine in ENGINES
        for what in ("rows_missing", "rows_unequal", "types_unequal")
    ),
)


@dataclass(frozen=True)
class Difference:
    """How one engine's rows differ from pyiceberg's.

    Attributes:
        rows_missing: Rows fewer, or more.
        rows_unequal: Rows with a value that is another.
        types_unequal: Columns that are missing, or of another type, with the types.
    """

    rows_missing: int
    rows_unequal: int
    types_unequal: tuple[str, ...]

    @classmethod
    def of(cls, expected: pa.Table, found: pa.Table) -> Difference:
        """Compare rows in the same order."""
        wanted, seen = plain(expected), plain(found)
        unequal = sum(a != b for a, b in zip(wanted.to_pylist(), seen.to_pylist(), strict=False))
        types = set(zip(wanted.column_names, wanted.schema.types, strict=True))
        others = set(zip(seen.column_names, seen.schema.types, strict=True))
        return cls(
            abs(wanted.num_rows - seen.num_rows),
            unequal,
            tuple(sorted(f"{name}: {kind}" for name, kind in types ^ others)),
        )

    def figures(self, engine: str) -> dict[str, float]:
        """The figures, named after the engine."""
        counts = {"rows_missing": self.rows_missing, "rows_unequal": self.rows_unequal}
        return {
            f"{engine}_{name}": value for name, value in (counts | {"types_unequal": len(self.types_unequal)}).items()
        }


def main() -> int:
    """Store, read by each engine, compare, print and write the figures; 1 where one is out of bounds."""
    if shutil.which("java") is None:
        sys.exit("Spark needs Java 17 or 21 on the PATH: the local stack's own runtime lacks a module it uses")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with Stack(folder / "stack", progress=PlainProgress(sys.stderr)) as stack:
            brokers = Brokers(stack.bootstrap_servers, stack.registry_url, "this check's own")
            world = World(TOPIC, folder, brokers)
            store(world)
        table = world.table()
        if table is None:
            raise RuntimeError("the writer made no table: see its log")
        expected = rows_by_pyiceberg(table, QUERY)
        found = {"duckdb": rows_by_duckdb(table, QUERY), "spark": rows_by_spark(table, folder)}
        figures: dict[str, float] = {
            "rows": expected.num_rows,
            "rows_of_the_new_version": expected.num_rows - expected.column("place").null_count,
            "columns": expected.num_columns,
            "compactions": sum(s.summary.operation.value == "replace" for s in table.metadata.snapshots if s.summary),
        }
        differences = {engine: Difference.of(expected, rows) for engine, rows in found.items()}
        for engine, difference in differences.items():
            figures |= difference.figures(engine)
    details = {engine: difference.types_unequal for engine, difference in differences.items()}
    return report("check", "engines", figures, BOUNDS, details)


def store(world: World) -> None:
    """Let a writer store both versions in turn, until it has compacted what it stored."""
    spec = world.writer("writer-0", "writers").spec
    writer = ServiceProcess(replace(spec, environment={**spec.environment, **SETTINGS}))
    version, producer = evolved(world), KafkaProducer(world.kafka)
    with running(writer):
        writer.wait_ready()
        for round_ in range(ROUNDS):
            if round_ == 1:
                world.registry.register(world.contract.subject, version.text)
            newest = Encoder(world.registry, world.contract.subject, version) if round_ else world.encoder
            for number in range(EVENTS_A_ROUND):
                new = round_ and number % 2
                send(
                    world,
                    producer,
                    newest if new else world.encoder,
                    newer(world.event) if new else world.event,
                    f"v{round_}",
                )
            if producer.flush(30):
                raise RuntimeError("the brokers do not take the events")
            eventually(lambda: world.row_count() >= len(world.sent), 60)
        eventually(lambda: compacted(world.table()), 60)


def compacted(table: Table | None) -> bool:
    """Whether a snapshot that is still there came of a compaction."""
    return table is not None and any(
        s.summary and s.summary.operation.value == "replace" for s in table.metadata.snapshots
    )


def rows_by_spark(table: Table, folder: Path) -> pa.Table:
    """What Spark with Iceberg's own runtime reads from the metadata file."""
    (runtime,) = fetch_all([RUNTIME], SPARK / "maven", MavenCentral(), PlainProgress(sys.stderr))
    rows = folder / "spark-rows"
    command = [
        SPARK / "bin" / "python",
        Path(__file__).with_name("spark_rows.py"),
        table.metadata_location,
        runtime,
        rows,
    ]
    environment = {name: os.environ[name] for name in ("PATH", "JAVA_HOME") if name in os.environ}
    subprocess.run([*map(str, command)], check=True, env=environment | {"SPARK_LOCAL_IP": "127.0.0.1"})
    return pq.read_table(rows)


def plain(rows: pa.Table) -> pa.Table:
    """The same rows without what engines are free to choose: offsets' width, dictionaries, nullability, field ids."""
    return rows.cast(pa.schema([pa.field(field.name, plain_type(field.type)) for field in rows.schema]))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type with 32-bit offsets and without the rest."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, plain_type(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if pa.types.is_timestamp(kind):
        return pa.timestamp(kind.unit, kind.tz and "UTC")  # an instant, in whatever zone the engine would print it
    if pa.types.is_large_string(kind):
        return pa.string()
    return pa.binary() if pa.types.is_large_binary(kind) else kind


if __name__ == "__main__":
    sys.exit(main())
