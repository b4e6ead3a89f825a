"""The disk of the warehouse fills up under load: the writers say so, and resume exactly once there is space again.

The warehouse is a small file system of its own, in memory, which takes root to mount. Run it from the project's root:
``python -m tests.chaos.disk``, or ``make chaos-writer``. The figures go to ``build/chaos/disk.json``, and it exits with
1 where one is out of bounds.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headgate_local.lake import Lake
from headgate_runtime.testing import eventually

from tests.chaos.lakehouse import Lakehouse, under_load
from tests.chaos.outages import CAUGHT_UP_TIMEOUT_S, SETTINGS, Watch, totals
from tests.load.bounds import Bound, report

if TYPE_CHECKING:
    from collections.abc import Iterator

PER_S = 300.0
SIZE_MB, LEFT_BYTES = 64, 400_000
BEFORE_S, FULL_S, TOLD_TIMEOUT_S = 5.0, 10.0, 60.0
BOUNDS = (
    Bound("lost", at_most=0),
    Bound("doubled", at_most=0),
    Bound("crashed", at_most=0),
    Bound("unclean_exits", at_most=0),
    Bound("unhealthy_answers", at_most=0),
    Bound("writers_that_name_the_disk", at_least=2),
    Bound("recovery_s", at_most=20),
)


def main() -> int:
    """Fill the disk, free it, check, print and write the figures; 1 where one is out of bounds."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        warehouse = folder / "stack" / "iceberg" / "warehouse"
        with _small_disk(warehouse), Lakehouse(folder, lake=Lake.FILES) as lakehouse:
            lakehouse.start_writers(SETTINGS)
            figures = fill(lakehouse, warehouse)
    return report("chaos", "disk", figures, BOUNDS, {"disk_mb": SIZE_MB, "events_per_s": PER_S})


def fill(lakehouse: Lakehouse, warehouse: Path) -> dict[str, float]:
    """Fill the disk under load, keep it full for a while, and free it; returns what it showed."""
    load = lakehouse.load()
    watches = [Watch([lakehouse.url(writer.name)]) for writer in lakehouse.writers]
    under_load(load, PER_S, lambda: False, BEFORE_S)
    filler, began_s = warehouse / "filler", time.monotonic()

    def elapsed_s() -> float:
        return time.monotonic() - began_s

    def look() -> bool:
        ready = [watch.look(elapsed_s(), away=False) for watch in watches]
        return all(ready)

    def told() -> bool:
        look()
        return all(_names_the_disk(watch) for watch in watches)

    filler.write_bytes(bytes(SIZE_MB * 1_000_000 - LEFT_BYTES - _used(warehouse)))
    under_load(load, PER_S, told, TOLD_TIMEOUT_S)
    told_s = elapsed_s()
    under_load(load, PER_S, lambda: look() and False, FULL_S)
    filler.unlink()
    freed_s, owed = elapsed_s(), len(load.sent)
    figures: dict[str, float] = {
        "told_after_s": round(told_s, 2),
        "writers_that_name_the_disk": sum(_names_the_disk(watch) for watch in watches),
        "rows_behind_when_freed": owed - lakehouse.rows(),
    }
    if under_load(load, PER_S, lambda: look() and lakehouse.rows() >= owed, CAUGHT_UP_TIMEOUT_S):
        figures["recovery_s"] = round(elapsed_s() - freed_s, 2)
    load.flush()
    eventually(lambda: lakehouse.rows() >= len(load.sent), CAUGHT_UP_TIMEOUT_S)
    figures |= totals(lakehouse, load) | {"unhealthy_answers": sum(watch.unhealthy for watch in watches)}
    load.close()
    return figures


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB * 1_000_000}", "headgate-chaos", str(folder)]
    if subprocess.run(mount, check=False).returncode:
        raise SystemExit("a small disk could not be mounted: run this as root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _names_the_disk(watch: Watch) -> bool:
    return any("No space left" in reason for reason in watch.reasons)


if __name__ == "__main__":
    sys.exit(main())
