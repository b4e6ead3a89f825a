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
PARTS = ("producer", "enricher", "decode", "parquet", "writer", "freshness")


def main() -> int:
    """Run the parts, print one table, and return 1 where a part gave no figures; its own bounds are its own command's."""
    console = Console()
    figures: dict[str, float] = {}
    failed: list[str] = []
    out_of_bounds: list[str] = []
    for part in PARTS:
        console.print(f"measuring the {part} ..." if part != "freshness" else "measuring freshness ...")
        written = ROOT / "build" / "bench" / f"{part}.json"
        written.unlink(missing_ok=True)
        command = [sys.executable, "-m", f"tests.bench.{part}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not written.exists():
            failed.append(part)
            console.print((done.stdout + done.stderr)[-3000:], style="red", markup=False)
            continue
        if done.returncode != 0:
            out_of_bounds.append(part)
        measured = json.loads(written.read_text(encoding="utf-8"))["figures"]
        figures |= {f"{part}_{name.removeprefix(f'{part}_')}": value for name, value in measured.items()}
    details = {"failed": failed, "out_of_bounds": out_of_bounds}
    path = write_figures("bench", "pipeline", figures, details=details, root=ROOT)
    print_figures("Pipeline benchmarks", figures, path)
    for part in out_of_bounds:
        console.print(f"{part}: a bound is missed; run it alone to see which", style="yellow")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
