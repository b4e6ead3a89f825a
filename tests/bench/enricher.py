"""How fast one enricher is beside the loop a team writes first, on the same events, with a model of 500 ms latency.

Run it from the project's root: ``python -m tests.bench.enricher``, or ``make bench-enricher``. It starts a platform of
its own, whose broker and model endpoint share the machine's cores with what is measured; the figures go to
``build/bench/enricher.json``, and it exits with 1 where one is out of bounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate_local.demo.report import percentile
from headgate_local.platform import Platform, Replicas
from headgate_local.progress import PlainProgress

from tests.bench.enriching import LATENCY_MS, Bench
from tests.load.bounds import Bound, report
from tests.load.model import EVERY_CALL_IS_MADE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.bench.enriching import Rate, Steady

COMPARED = 2
SHARES = (0, COMPARED, 10)
IN_FLIGHT = 256
STEADY_PER_S = 2_000.0
SHORT_S, LONG_S = 180.0, 1_800.0
BOUNDS = (
    Bound("ratio_to_naive_loop_2pct", at_least=50),
    Bound("cpu_ratio_to_naive_loop_2pct", at_least=10),
    Bound("share_of_ideal_calls_256", at_least=0.85),
    Bound("fast_path_p99_ms", at_most=300),
    Bound("rss_growth_mb", at_most=20),
)


def main() -> int:
    """Measure, print and write the figures; 1 where one is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=60_000, help="events a share")
    parser.add_argument("--naive-events", type=int, default=4_000, help="of them, those the naive loop does")
    parser.add_argument("--grey-events", type=int, default=10_000, help="events of the run where all go to the model")
    parser.add_argument("--long", action="store_true", help="watch latency and memory for half an hour")
    arguments = parser.parse_args()
    seconds = LONG_S if arguments.long else SHORT_S
    with tempfile.TemporaryDirectory() as scratch:
        services = [Replicas("enricher", 1, EVERY_CALL_IS_MADE)]
        platform = Platform(Path(scratch), services=services, progress=PlainProgress(sys.stderr))
        with platform:
            bench = Bench(platform)
            rates, naive = _backlogs(bench, arguments.events, arguments.naive_events)
            bench.load(arguments.grey_events, 1)
            rates[100] = bench.enrich(arguments.grey_events)
            steady = bench.steady(STEADY_PER_S, COMPARED / 100, seconds)
            bench.close()
    details: dict[str, Any] = {
        "events": arguments.events,
        "model_latency_ms": LATENCY_MS,
        "processes": 1,
        "steady_s": seconds,
    }
    details["model_calls_per_event"] = {
        "enricher": {share: round(rate.model_calls_per_event, 4) for share, rate in rates.items()},
        "naive_loop": round(naive.model_calls_per_event, 4),
    }
    return report("bench", "enricher", _figures(rates, naive, steady), BOUNDS, details)


def _backlogs(bench: Bench, events: int, naive_events: int) -> tuple[dict[int, Rate], Rate]:
    rates: dict[int, Rate] = {}
    for share in SHARES:
        bench.load(events, share / 100)
        rates[share] = bench.enrich(events)
        if share == COMPARED:
            naive = bench.enrich_naively(naive_events)
    return rates, naive


def _figures(rates: Mapping[int, Rate], naive: Rate, steady: Steady) -> dict[str, float]:
    ours = rates[COMPARED]
    figures = {
        "ratio_to_naive_loop_2pct": round(ours.events_per_s / naive.events_per_s, 1),
        "cpu_ratio_to_naive_loop_2pct": round(naive.cpu_us_per_event / ours.cpu_us_per_event, 1),
        "naive_loop_events_per_s_2pct": round(naive.events_per_s, 1),
        "naive_loop_cpu_us_per_event_2pct": round(naive.cpu_us_per_event, 1),
    }
    for share in SHARES:
        rate = rates[share]
        figures[f"enricher_events_per_s_{share}pct"] = round(rate.events_per_s, 1)
        figures[f"enricher_cpu_us_per_event_{share}pct"] = round(rate.cpu_us_per_event, 1)
        figures[f"events_per_cpu_s_{share}pct"] = round(1e6 / rate.cpu_us_per_event)
    return figures | {
        "model_calls_per_s_256": round(rates[100].model_calls_per_s, 1),
        "share_of_ideal_calls_256": round(rates[100].model_calls_per_s / (IN_FLIGHT / LATENCY_MS * 1000), 3),
        "fast_path_p50_ms": round(percentile(steady.fast_ms, 0.5), 1),
        "fast_path_p99_ms": round(percentile(steady.fast_ms, 0.99), 1),
        "model_path_p99_ms": round(percentile(steady.asked_ms, 0.99), 1),
        "rss_mb": round(steady.rss_mb[-1], 1),
        "rss_growth_mb": round(steady.rss_growth_mb, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
