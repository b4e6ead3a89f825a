"""Three writers killed at random moments, frozen beyond their sessions, their catalog's answers lost: every row once.

They store one topic on SeaweedFS while maintenance expires, compacts and deletes at a high rate. Four kills in five hit
a worker, as the kernel's when memory is short; the fifth takes its keeper too. Twice a writer stands still until others
have its partitions, and goes on beside them with what it had in hand. One commit in fifty never arrives, or its answer
does not. Some of the events are in transactions, of which some are aborted.

Run it from the project's root: ``python -m tests.chaos.writer``, or ``make chaos-writer``. The figures go to
``build/chaos/writer.json``, the writers' logs to ``writer-logs`` beside it, and it exits with 1 where one is out of bounds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.chaos.aftermath import dead_letters, events, hold, unreferenced, verify
from tests.chaos.fire import OVERLAPS, Fire, Plan
from tests.chaos.lakehouse import Lakehouse
from tests.chaos.proxy import Fault, is_commit
from tests.load.bounds import ROOT, Bound, report

WRITERS = 3
SHORT, LONG = (100, 1_000_000), (400, 4_000_000)
COMMIT_INTERVAL_S = 0.5
LOST = {Fault.LOSE_REQUEST: 0.01, Fault.LOSE_ANSWER: 0.01}
ORPHAN_AGE_S, ORPHANS_TIMEOUT_S = 60.0, 180.0
SETTINGS = {
    "TOPICS": '["enriched-events"]',
    "COMMIT_INTERVAL_S": str(COMMIT_INTERVAL_S),
    "KEEP_SNAPSHOTS": "40",
    "MAINTAIN__INTERVAL_S": "2",
    "MAINTAIN__SNAPSHOT_AGE_S": "60",
    "MAINTAIN__COMPACT_FILES": "8",
    "MAINTAIN__EXPIRED_AGE_S": "10",
    "MAINTAIN__ORPHAN_AGE_S": str(ORPHAN_AGE_S),
}
# What a process says that ends without having been told to.
FAULTS = (
    "fenced: another instance has taken over",
    "stopped by a fault",
    "stopped by an unexpected fault",
    "configuration error",
)
LOGS = ROOT / "build" / "chaos" / "writer-logs"
BOUNDS = (
    Bound("rows_less_distinct_inputs", at_least=0, at_most=0),
    Bound("duplicated", at_most=0),
    Bound("missing", at_most=0),
    Bound("rows_of_aborted_inputs", at_most=0),
    Bound("positions_doubled", at_most=0),
    Bound("dead_letters", at_most=0),
    Bound("commits_lost", at_least=1),
    Bound("writers_overtaken", at_least=OVERLAPS),
    Bound("kills_not_recovered", at_most=0),
    Bound("recovery_s_max", at_most=5),
    Bound("idle_tail_s", at_most=COMMIT_INTERVAL_S),
    Bound("compactions", at_least=1),
    Bound("orphans_left", at_most=0),
    Bound("live_files_missing", at_most=0),
    Bound("verify_exit_code", at_most=0),
    Bound("faults", at_most=0),
    Bound("unclean_exits", at_most=0),
)


def main() -> int:
    """Kill, freeze, check, print and write the figures; 1 where one is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, help=f"kill -9 in all ({SHORT[0]}; {LONG[0]} with --long)")
    parser.add_argument("--rows", type=int, help=f"rows in all ({SHORT[1]:,}; {LONG[1]:,} with --long)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments, the victims and the lost answers")
    parser.add_argument("--long", action="store_true", help="the long form")
    arguments = parser.parse_args()
    kills, rows = LONG if arguments.long else SHORT
    plan = Plan(arguments.kills or kills, arguments.rows or rows, arguments.seed)
    with tempfile.TemporaryDirectory() as scratch, Lakehouse(Path(scratch), writers=WRITERS) as lakehouse:
        lakehouse.start_writers(SETTINGS)
        lakehouse.catalog.only = is_commit
        lakehouse.catalog.chances = LOST
        figures, details = run(lakehouse, plan)
        shutil.copytree(Path(scratch) / "run", LOGS, dirs_exist_ok=True)
    return report("chaos", "writer", figures, BOUNDS, details)


def run(lakehouse: Lakehouse, plan: Plan) -> tuple[dict[str, float], dict[str, Any]]:
    """Send rows under fire, wait for the last, let maintenance finish, and compare; returns figures and details."""
    with Fire(lakehouse, plan) as fire:
        fire.go()
        tail_s = fire.tail_s()
        struck = lakehouse.catalog.struck
        left, at_first = unreferenced(lakehouse, ORPHANS_TIMEOUT_S)
        codes = [writer.stop() for writer in lakehouse.writers]
        code, found = verify(lakehouse)
        figures = hold(lakehouse, fire.load) | {
            "dead_letters": dead_letters(lakehouse),
            "writers_overtaken": fire.overtaken,
            "commits_lost": struck[Fault.LOSE_REQUEST] + struck[Fault.LOSE_ANSWER],
            "orphans_after_the_load": at_first,
            "orphans_left": left,
            "live_files_missing": len(found.get("files", {}).get("missing", [""])),
            "verify_exit_code": code,
            "unclean_exits": sum(code != 0 for code in codes),
        }
        if tail_s is not None:
            figures["idle_tail_s"] = round(tail_s, 2)
        figures |= fire.recoveries.figures()
        told = events(lakehouse)
        figures |= {"compactions": told["compacted"], "faults": sum(told[fault] for fault in FAULTS)}
        details = {"told": dict(told), "events_per_s": plan.per_s, "writers": WRITERS, "seed": plan.seed}
    return figures, details | {"settings": SETTINGS, "verify": found, "kills": fire.recoveries.times()}


if __name__ == "__main__":
    sys.exit(main())
