"""How soon an event can be queried: the whole platform at 2,000 events a second, commit time less produce time of every row.

The limit, measured in the same run: the writer's commit interval and the time of a commit when nothing else goes on.

Run it from the project's root: ``python -m tests.bench.freshness``; the figures go to ``build/bench/freshness.json``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from headgate_local.demo.report import percentile
from headgate_local.demo.run import DemoOptions, DemoRun
from headgate_local.demo.site import OwnSite
from headgate_local.figures import write_figures
from headgate_local.progress import PlainProgress
from headgate_writer.config import Settings
from pyiceberg.catalog import load_catalog

from tests.bench.figure_table import print_figures, rounded

ROOT = Path(__file__).parents[2]
IDLE_COMMITS = 20


def main() -> int:
    """Measure, print and write the figures; 1 where a row is missing, doubled or wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--rate", type=float, default=2_000.0, help="events a second")
    arguments = parser.parse_args()
    options = DemoOptions(events=arguments.events, rate=arguments.rate, model_outage=False)
    with tempfile.TemporaryDirectory() as scratch:
        folder, progress = Path(scratch) / "run", PlainProgress(sys.stderr)
        report = DemoRun(options, folder, OwnSite(folder, progress), progress.say).execute()
        idle_commit_ms = _idle_commit_ms(Path(scratch))
    if report.unmeasured:
        raise RuntimeError(
            f"the snapshots of {report.unmeasured} rows have expired: take fewer events or a higher rate"
        )
    interval_ms = Settings.model_fields["commit_interval_s"].default * 1000
    p50 = percentile(report.freshness_ms, 0.5)
    figures = rounded(
        {
            "freshness_p50_ms": p50,
            "freshness_p99_ms": percentile(report.freshness_ms, 0.99),
            "freshness_idle_commit_ms": idle_commit_ms,
            "freshness_limit_ms": interval_ms + idle_commit_ms,
            "freshness_p50_over_limit": p50 / (interval_ms + idle_commit_ms),
            "freshness_events": report.comparison.rows,
        }
    )
    details = {"events_per_s": arguments.rate, "commit_interval_ms": interval_ms}
    path = write_figures("bench", "freshness", figures, details=details, root=ROOT)
    print_figures(f"Freshness at {arguments.rate:,.0f} events a second", figures, path)
    return 0 if report.comparison.exact else 1


def _idle_commit_ms(folder: Path) -> float:
    """Median time of a commit of one row when nothing else is going on, on the same disk and kind of catalog."""
    warehouse = folder / "idle"
    warehouse.mkdir()
    catalog = load_catalog("idle", type="sql", uri=f"sqlite:///{warehouse}/catalog.db", warehouse=warehouse.as_uri())
    catalog.create_namespace("bench")
    row = pa.table({"number": [1]})
    table = catalog.create_table("bench.idle", schema=row.schema)
    seconds = []
    for _ in range(IDLE_COMMITS):
        began = time.monotonic()
        table.append(row)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds) * 1000


if __name__ == "__main__":
    sys.exit(main())
