"""How soon an event can be queried: the whole platform at 2,000 events a second, commit time less produce time of every row.

Run it from the project's root: ``python -m tests.bench.freshness``; the figures go to ``build/bench/freshness.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from headgate_local.demo.report import percentile
from headgate_local.demo.run import DemoOptions, DemoRun
from headgate_local.figures import write_figures
from headgate_local.progress import PlainProgress

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Measure, print and write the figures; 1 where a row is missing, doubled or wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--rate", type=float, default=2_000.0, help="events a second")
    arguments = parser.parse_args()
    options = DemoOptions(events=arguments.events, rate=arguments.rate, model_outage=False)
    with tempfile.TemporaryDirectory() as scratch:
        report = DemoRun(options, Path(scratch) / "run", PlainProgress(sys.stderr)).execute()
    figures = {
        "freshness_p50_ms": round(percentile(report.freshness_ms, 0.5), 1),
        "freshness_p99_ms": round(percentile(report.freshness_ms, 0.99), 1),
        "freshness_events": report.comparison.rows,
    }
    path = write_figures("bench", "freshness", figures, details={"events_per_s": arguments.rate}, root=ROOT)
    sys.stdout.write(f"{json.dumps(figures, indent=2)}\n{path}\n")
    return 0 if report.comparison.exact else 1


if __name__ == "__main__":
    sys.exit(main())
