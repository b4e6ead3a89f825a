"""Rows a second of CPU that become data files, by the writer's own path, by pyiceberg's and by a bare Parquet writer.

All three write the same rows, batch by batch as large as the writer's commits, to the same disk, in turns. Both of the
others are limits or peers: the bare writer makes one file without field ids, statistics or partitions.

Run ``python -m tests.bench.parquet [--rows N]`` from the root; writes build/bench/parquet.json and exits with 1 where a
figure is out of bounds.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from headgate_schemas import Contracts, PartitionField, PiiPolicy, TableContract, treatments
from headgate_writer.catalog import open_catalog
from headgate_writer.opening import open_table
from headgate_writer.parquet import DataFileWriter
from headgate_writer.personal import Protection
from pyiceberg.io.pyarrow import _dataframe_to_data_files

from tests.bench.figure_table import rounded
from tests.bench.parquet_rows import HOUR_MS, TOPIC, stored_rows
from tests.load.bounds import Bound, report

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

TURNS = 5
KEYS = 50_000
LEVELS = (1, 3, 6)
TABLES = ("unpartitioned", "day", "hour", "day_bucket16")
BOUNDS = (
    Bound("parquet_ours_to_bare_unpartitioned", at_least=0.8),
    *(Bound(f"parquet_ours_to_pyiceberg_{table}", at_least=1.0) for table in TABLES),
)


@dataclass
class Turns:
    """Measures things in turns, so that a busy machine is as busy for each; the least CPU time of a thing counts."""

    rows: int
    cpu_s: dict[str, float] = field(default_factory=lambda: defaultdict(lambda: float("inf")))

    def run(self, things: dict[str, Callable[[], Any]]) -> None:
        """Do each thing once unmeasured, then each in every turn."""
        for turn in range(TURNS + 1):
            for name, thing in things.items():
                began = time.process_time()
                thing()
                if turn:
                    self.cpu_s[name] = min(self.cpu_s[name], time.process_time() - began)

    def per_cpu_s(self, name: str) -> float:
        """Rows a CPU second."""
        return self.rows / self.cpu_s[name]

    def us_per_row(self, name: str) -> float:
        """CPU microseconds a row."""
        return self.cpu_s[name] * 1e6 / self.rows


@dataclass(frozen=True)
class Bench:
    """Tables to write to, and the contract they are of."""

    catalog: Catalog
    folder: Path

    def table(self, name: str, schema: pa.Schema, *parts: tuple[str, str], **properties: str) -> Table:
        """Create a table partitioned by these fields, sorted by event time as the writer declares it."""
        fields = tuple(PartitionField(field=path, transform=transform) for path, transform in parts)
        contract = TableContract(name=f"bench.{name}", partition_by=fields)
        open_table(self.catalog, contract, schema, sort_by=Contracts.load().topic(TOPIC).fields.event_time)
        table = self.catalog.load_table(contract.name)
        if properties:
            table = table.transaction().set_properties(properties).commit_transaction()
        return table

    def bare(self, rows: pa.Table) -> None:
        """Write one file of the bare Parquet writer."""
        pq.write_table(rows, self.folder / "bare.parquet", compression="zstd")


def theirs(table: Table, rows: pa.Table) -> list[DataFile]:
    """Write data files as pyiceberg does."""
    return list(_dataframe_to_data_files(table.metadata, rows, table.io))


def partitioned(bench: Bench, count: int) -> dict[str, float]:
    """Measure each kind of partitioning: a second's events, and a day's for the table by hour."""
    fields = Contracts.load().topic(TOPIC).fields
    day, hour = (str(fields.event_time), "day"), (str(fields.event_time), "hour")
    second = stored_rows(count, keys=KEYS, spread_ms=1_000)
    hours = stored_rows(count, keys=KEYS, spread_ms=24 * HOUR_MS - 1)
    kinds: dict[str, tuple[pa.Table, tuple[tuple[str, str], ...]]] = {
        "unpartitioned": (second, ()),
        "day": (second, (day,)),
        "hour": (hours, (hour,)),
        "day_bucket16": (second, (day, (str(fields.key), "bucket[16]"))),
    }
    figures: dict[str, float] = {}
    for kind, (rows, parts) in kinds.items():
        table, writer, turns = bench.table(kind, rows.schema, *parts), DataFileWriter(), Turns(count)
        turns.run(
            {
                "bare": lambda rows=rows: bench.bare(rows),
                "ours": lambda rows=rows, table=table, writer=writer: writer.write(table, rows),
                "pyiceberg": lambda rows=rows, table=table: theirs(table, rows),
            }
        )
        files = writer.write(table, rows)
        figures |= {f"parquet_{name}_rows_per_cpu_s_{kind}": turns.per_cpu_s(name) for name in turns.cpu_s}
        figures[f"parquet_ours_to_bare_{kind}"] = turns.cpu_s["bare"] / turns.cpu_s["ours"]
        figures[f"parquet_ours_to_pyiceberg_{kind}"] = turns.cpu_s["pyiceberg"] / turns.cpu_s["ours"]
        figures[f"parquet_files_{kind}"] = len(files)
        figures[f"parquet_ours_bytes_per_row_{kind}"] = sum(file.file_size_in_bytes for file in files) / count
    figures["parquet_bare_bytes_per_row"] = (bench.folder / "bare.parquet").stat().st_size / count
    return figures


def chosen(bench: Bench, count: int) -> dict[str, float]:
    """Measure what was decided upon: the level of zstd, and whether rows are sorted."""
    rows = stored_rows(count, keys=KEYS, spread_ms=HOUR_MS)
    writer, turns, figures = DataFileWriter(), Turns(count), {}
    levels = {
        level: bench.table(f"zstd{level}", rows.schema, **{"write.parquet.compression-level": str(level)})
        for level in LEVELS
    }
    writers = {level: DataFileWriter() for level in LEVELS}
    turns.run(
        {str(level): lambda level=level: writers[level].write(levels[level], rows) for level in LEVELS}
        | {"ordered": lambda: writer.write(levels[1], rows, ordered=True)}
    )
    for level in LEVELS:
        (file,) = writers[level].write(levels[level], rows)
        figures[f"parquet_zstd{level}_us_per_row"] = turns.us_per_row(str(level))
        figures[f"parquet_zstd{level}_bytes_per_row"] = file.file_size_in_bytes / count
    figures["parquet_sort_share_of_write"] = turns.cpu_s["ordered"] / turns.cpu_s["1"] - 1
    return figures


def protected(count: int) -> dict[str, float]:
    """Measure what hashing a column costs before the write: each value distinct, and as many as keys."""
    record = Contracts.load().record(Contracts.load().topic(TOPIC).record)
    protection = Protection(treatments(record, PiiPolicy(direct="hash")).by_path, secrets.token_bytes(32))
    distinct, shared = (stored_rows(count, keys=keys, spread_ms=1_000) for keys in (0, 1_000))
    turns = Turns(count)
    turns.run({"distinct": lambda: protection.rows(distinct), "shared": lambda: protection.rows(shared)})
    return {
        "pii_hash_us_per_row_all_distinct": turns.us_per_row("distinct"),
        "pii_hash_us_per_row_1000_distinct": turns.us_per_row("shared"),
    }


def main() -> int:
    """Measure, print and write the figures; 1 where one is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalog = open_catalog({"type": "sql", "uri": f"sqlite:///{folder}/c.db", "warehouse": folder.as_uri()})
        bench = Bench(catalog, folder)
        figures = partitioned(bench, rows) | chosen(bench, rows) | protected(rows)
    return report("bench", "parquet", rounded(figures), BOUNDS, {"rows": rows, "keys": KEYS, "turns": TURNS})


if __name__ == "__main__":
    sys.exit(main())
