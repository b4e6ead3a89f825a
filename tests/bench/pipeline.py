"""Runs every benchmark of the pipeline, one after the other, and gathers their figures in build/bench/pipeline.json.

Run it from the project's root: ``python -m tests.bench.pipeline``, or ``make bench``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from headgate_local.figures import write_figures
from rich.console import Console

from tests.bench.figure_table import print_figures

ROOT = Path(__file__).parents[2]
PARTS = ("producer", "enricher", "writer", "freshness")


def main() -> int:
    """Run the parts, print one table, and return 1 where a part failed."""
    console = Console()
    figures: dict[str, float] = {}
    failed: list[str] = []
    for part in PARTS:
        console.print(f"measuring the {part} ..." if part != "freshness" else "measuring freshness ...")
        command = [sys.executable, "-m", f"tests.bench.{part}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            failed.append(part)
            console.print((done.stdout + done.stderr)[-3000:], style="red", markup=False)
            continue
        report = json.loads((ROOT / "build" / "bench" / f"{part}.json").read_text(encoding="utf-8"))
        figures |= report["figures"]
    path = write_figures("bench", "pipeline", figures, details={"failed": failed}, root=ROOT)
    print_figures("Pipeline benchmarks", figures, path)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
