"""The model throttles everything for a while: few attempts, no dead letters, fallbacks that say so, and back by itself.

Run it from the project's root: ``python -m tests.chaos.throttle``, or ``make chaos-enricher``. The figures go to
``build/chaos/throttle.json``, and it exits with 1 where one is out of bounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate_enricher.bedrock.settings import BedrockSettings
from headgate_local.platform import Platform, Replicas
from headgate_local.progress import PlainProgress

from tests.load.bounds import Bound, report
from tests.load.model import EVERY_CALL_IS_MADE, Model
from tests.load.outputs import Reader, Seen, exactness
from tests.load.pace import Pace
from tests.load.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.load.outputs import Exactness

SHARE = 0.05
PER_S = 250.0
KEYS = 50_000
LATENCY_MS, JITTER = 500, 0.3
BEFORE_S, AFTER_S = 10.0, 25.0
SHORT_S, LONG_S = 120.0, 600.0
SETTLED_S = 2.0
DRAIN_TIMEOUT_S = 60.0
MODEL, FALLBACK = "model", "fallback"
BOUNDS = (
    Bound("outputs_less_inputs", at_least=0, at_most=0),
    Bound("duplicated", at_most=0),
    Bound("missing", at_most=0),
    Bound("out_of_order", at_most=0),
    Bound("dead_letters", at_most=0),
    Bound("restarts", at_most=0),
    Bound("attempts_per_event_throttled", at_most=BedrockSettings().max_attempts),
    Bound("fallbacks_while_throttled", at_least=1),
    Bound("model_decisions_while_throttled", at_most=0),
    Bound("fallbacks_without_reason", at_most=0),
    Bound("recovery_s", at_most=15),
)


@dataclass
class Window:
    """When the model throttled, and what was decided meanwhile and after; times in milliseconds since the epoch.

    Attributes:
        begin_ms: When it began.
        end_ms: When it ended.
        calls: Calls the endpoint got meanwhile; none is answered, so each is an attempt of some event's first call.
        fallbacks: Decisions of the fallback meanwhile.
        tiers: Decisions meanwhile on events that also arrived meanwhile, by tier; the first seconds, when answers to
            older calls still come, are left out.
        recovered_ms: First decision of the model on an event that arrived after the end.
    """

    begin_ms: float = 0.0
    end_ms: float = 0.0
    calls: int = 0
    fallbacks: int = 0
    tiers: dict[str, int] = field(default_factory=dict)
    recovered_ms: float | None = None

    def saw(self, seen: Seen) -> None:
        """Take note of an output."""
        self.fallbacks += seen.tier == FALLBACK and bool(self.begin_ms) and not self.end_ms
        if self.begin_ms and seen.arrived_ms > self.begin_ms + SETTLED_S * 1000 and not self.end_ms:
            self.tiers[seen.tier] = self.tiers.get(seen.tier, 0) + 1
        if self.end_ms and self.recovered_ms is None and seen.tier == MODEL:
            self.recovered_ms = seen.at_ms


def main() -> int:
    """Throttle, check, print and write the figures; 1 where one is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help=f"throttle for {LONG_S:g} s rather than {SHORT_S:g} s")
    throttled_s = LONG_S if parser.parse_args().long else SHORT_S
    with tempfile.TemporaryDirectory() as scratch:
        progress = PlainProgress(sys.stderr)
        with Platform(
            Path(scratch), services=[Replicas("enricher", 1, EVERY_CALL_IS_MADE)], progress=progress
        ) as platform:
            window = throttle(platform, throttled_s)
            stats = Model(platform.endpoints.bedrock_url).stats()
            restarts = platform.processes["enricher-0"].starts - 1
            found = exactness(platform.endpoints)
    details = {"tiers": found.tiers, "fallback_reasons": found.reasons, "throttled_s": throttled_s}
    details |= {"events_per_s": PER_S, "model_share": SHARE, "while_throttled": window.tiers}
    return report("chaos", "throttle", figures(window, found, stats, restarts), BOUNDS, details)


def throttle(platform: Platform, throttled_s: float) -> Window:
    """Send at a steady rate; throttle in the middle; wait until all is decided."""
    endpoints = platform.endpoints
    model = Model(endpoints.bedrock_url)
    traffic, reader = Traffic(endpoints, keys=KEYS), Reader(endpoints)
    events = int(PER_S * (BEFORE_S + throttled_s + AFTER_S))
    window, pace, began_s, decided = Window(), Pace(PER_S, events), time.monotonic(), 0
    usual = {"latency_ms": LATENCY_MS, "jitter": JITTER}
    model.faults(**usual)
    # What is not decided by then is missing, which the comparison of the topics will say.
    while decided < events and (elapsed_s := time.monotonic() - began_s) < events / PER_S + DRAIN_TIMEOUT_S:
        if not window.begin_ms and elapsed_s >= BEFORE_S:
            window.calls = -model.stats()["calls"]
            model.faults(throttle_rate=1, **usual)
            window.begin_ms = time.time() * 1000
        if window.begin_ms and not window.end_ms and elapsed_s >= BEFORE_S + throttled_s:
            model.faults(**usual)
            window.end_ms = time.time() * 1000
            window.calls += model.stats()["calls"]
        traffic.send(pace.due(), SHARE)
        for seen in reader.poll():
            decided += 1
            window.saw(seen)
    traffic.flush()
    for client in (traffic, reader, model):
        client.close()
    return window


def figures(window: Window, found: Exactness, stats: Mapping[str, Any], restarts: int) -> dict[str, float]:
    """What the run showed."""
    grey = found.tiers[MODEL] + found.tiers[FALLBACK]
    values = found.figures() | {
        "outputs_less_inputs": found.outputs - found.inputs,
        "throttled_s": round((window.end_ms - window.begin_ms) / 1000, 1),
        "restarts": restarts,
        "grey_events": grey,
        "calls": stats["calls"],
        "calls_while_throttled": window.calls,
        "attempts_per_event_throttled": round(window.calls / max(1, window.fallbacks), 2),
        "fallbacks_while_throttled": window.tiers.get(FALLBACK, 0),
        "model_decisions_while_throttled": window.tiers.get(MODEL, 0),
        "fallbacks_without_reason": found.reasons[None],
    }
    if window.recovered_ms is not None:
        values["recovery_s"] = round((window.recovered_ms - window.end_ms) / 1000, 2)
    return values


if __name__ == "__main__":
    sys.exit(main())
