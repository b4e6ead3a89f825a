"""Two enrichers killed at random moments under load: nothing lost, doubled or out of order, and soon back at work.

Four kills in five hit a worker, as the kernel's when memory is short; the fifth takes its keeper too, as the loss of a
machine does, and the replica starts anew.

Run it from the project's root: ``python -m tests.chaos.enricher``, or ``make chaos-enricher``. The figures go to
``build/chaos/enricher.json``, and it exits with 1 where one is out of bounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate_local.platform import Platform, Replicas
from headgate_local.progress import PlainProgress
from headgate_schemas import Contracts

from tests.chaos.kills import Killer, Recoveries
from tests.load.bounds import Bound, report
from tests.load.model import EVERY_CALL_IS_MADE, Model
from tests.load.outputs import SOURCE, Reader, exactness, kept_answers
from tests.load.pace import Pace
from tests.load.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Sequence

REPLICAS = 2
SHARE = 0.05
PER_S = 250.0
KEYS = 50_000
LATENCY_MS, JITTER = 500, 0.3
SHORT, LONG = (50, 100_000), (200, 400_000)
STRUCK = 0.95  # of the load's time: every kill has events behind it
RECOVERY_TIMEOUT_S = 120.0
BOUNDS = (
    Bound("outputs_less_inputs", at_least=0, at_most=0),
    Bound("duplicated", at_most=0),
    Bound("missing", at_most=0),
    Bound("out_of_order", at_most=0),
    Bound("dead_letters", at_most=0),
    Bound("unclean_exits", at_most=0),
    Bound("answers_kept", at_least=1),
    Bound("repeated_answered_calls", at_most=0),
    Bound("recovery_count", at_least=1),
    Bound("kills_not_recovered", at_most=0),
    Bound("recovery_s_max", at_most=5),
)


@dataclass(frozen=True)
class Plan:
    """What a run does: so many kills over so many events."""

    kills: int
    events: int
    seed: int


def main() -> int:
    """Kill, check, print and write the figures; 1 where one is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, help=f"kill -9 in all ({SHORT[0]}; {LONG[0]} with --long)")
    parser.add_argument("--events", type=int, help=f"events in all ({SHORT[1]:,}; {LONG[1]:,} with --long)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and the victims")
    parser.add_argument("--long", action="store_true", help="the long form")
    arguments = parser.parse_args()
    kills, events = LONG if arguments.long else SHORT
    plan = Plan(arguments.kills or kills, arguments.events or events, arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        services = [Replicas("enricher", REPLICAS, EVERY_CALL_IS_MADE)]
        with Platform(Path(scratch), services=services, progress=PlainProgress(sys.stderr)) as platform:
            figures, details = run(platform, plan)
    return report("chaos", "enricher", figures, BOUNDS, details)


def run(platform: Platform, plan: Plan) -> tuple[dict[str, float], dict[str, Any]]:
    """Send the events, kill meanwhile, wait for all outputs, and compare; returns figures and details."""
    model = Model(platform.endpoints.bedrock_url)
    model.faults(latency_ms=LATENCY_MS, jitter=JITTER)
    replicas = [platform.processes[name] for name in services_of(platform)]
    recoveries = under_fire(platform, replicas, plan)
    stats = model.stats()
    codes = [replica.stop() for replica in replicas]
    found, kept = exactness(platform.endpoints), kept_answers(platform.endpoints)
    figures = found.figures() | {
        "outputs_less_inputs": found.outputs - found.inputs,
        "unclean_exits": sum(code != 0 for code in codes),
        "model_calls": stats["calls"],
        "answers_kept": kept.total(),
        "repeated_answered_calls": kept.total() - len(kept),
        "model_calls_over_distinct": round(stats["answers"] / max(1, len(kept)), 4),
    }
    figures |= recoveries.figures()
    details = {"tiers": found.tiers, "fallback_reasons": found.reasons, "recoveries": recoveries.times()}
    return figures, details | {"events_per_s": PER_S, "model_share": SHARE, "replicas": REPLICAS, "seed": plan.seed}


def services_of(platform: Platform) -> Sequence[str]:
    """Names of the platform's enrichers."""
    return [name for name in platform.processes if name.startswith("enricher-")]


def under_fire(platform: Platform, replicas: Sequence[Any], plan: Plan) -> Recoveries:
    """Send at a steady rate while replicas are killed, then wait until all is done."""
    endpoints = platform.endpoints
    traffic, reader = Traffic(endpoints, keys=KEYS), Reader(endpoints)
    recoveries = Recoveries(Contracts.load().topic(SOURCE).partitions)
    load_s = plan.events / PER_S
    killer = Killer(replicas, times=plan.kills, within_s=load_s * STRUCK, seed=plan.seed)
    pace, began_s, decided = Pace(PER_S, plan.events), time.monotonic(), 0
    # What is not decided by then is missing, which the comparison of the topics will say.
    while decided < plan.events and time.monotonic() < began_s + load_s + RECOVERY_TIMEOUT_S:
        traffic.send(pace.due(), SHARE)
        if struck := killer.strike(time.monotonic() - began_s):
            recoveries.killed(struck.victim.name, time.monotonic(), whole=struck.whole)
        for replica in replicas:
            replica.revive()
        for seen in reader.poll():
            decided += 1
            recoveries.output(seen.partition, time.monotonic())
    traffic.flush()
    traffic.close()
    reader.close()
    return recoveries


if __name__ == "__main__":
    sys.exit(main())
