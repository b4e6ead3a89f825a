"""Catalog, object store and registry go away in turn while two writers work: they say so, and resume by themselves.

Each is away twice in a row: first it hangs, then it refuses connections. The registry matters only to who meets a new
schema id, so one comes with its outage.

Run it from the project's root: ``python -m tests.chaos.outages``, or ``make chaos-writer``. The figures go to
``build/chaos/outages.json``, and it exits with 1 where one is out of bounds.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from headgate_runtime.testing import eventually

from tests.chaos.lakehouse import Lakehouse, Load, under_load
from tests.chaos.proxy import Fault
from tests.load.bounds import Bound, report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.chaos.proxy import FaultProxy

PER_S = 300.0
QUICK_S, USUAL_S = 10.0, 60.0
BEFORE_S, CAUGHT_UP_TIMEOUT_S = 5.0, 90.0
UNREADY_AFTER_S, TOLD_WITHIN_S = 3.0, 6.0
LOOK_TIMEOUT_S = 2.0
AWAY = ("catalog", "store", "registry")
SETTINGS = {"UNREADY_AFTER_S": str(UNREADY_AFTER_S), "COMMIT_INTERVAL_S": "0.5"}
BOUNDS = (
    Bound("lost", at_most=0),
    Bound("doubled", at_most=0),
    Bound("crashed", at_most=0),
    Bound("unclean_exits", at_most=0),
    Bound("unhealthy_answers", at_most=0),
    *(Bound(f"{what}_unready_after_s", at_most=TOLD_WITHIN_S) for what in AWAY),
    *(Bound(f"{what}_ready_answers_while_away", at_most=0) for what in AWAY),
    *(Bound(f"{what}_recovery_s", at_most=20) for what in AWAY),
)


@dataclass
class Watch:
    """What the writers say of themselves during one outage; times in seconds from its beginning.

    Attributes:
        unready_s: When each writer first said that it is not ready.
        ready_again_s: When each writer last became ready.
        ready_while_away: Answers "ready" after ``TOLD_WITHIN_S`` and before the return.
        unhealthy: Answers other than healthy.
        reasons: What was said.
    """

    urls: Sequence[str]
    unready_s: dict[str, float] = field(default_factory=dict)
    ready_again_s: dict[str, float] = field(default_factory=dict)
    ready_while_away: int = 0
    unhealthy: int = 0
    reasons: set[str] = field(default_factory=set)

    def look(self, at_s: float, *, away: bool) -> bool:
        """Ask every writer; returns whether all are ready."""
        ready = [self._ask(url, at_s, away=away) for url in self.urls]
        return all(ready)

    def _ask(self, url: str, at_s: float, *, away: bool) -> bool:
        self.unhealthy += _get(f"{url}/healthz").status_code != httpx.codes.OK
        answer = _get(f"{url}/readyz")
        ready = answer.status_code == httpx.codes.OK
        if ready:
            self.ready_again_s.setdefault(url, at_s)
            self.ready_while_away += away and at_s > TOLD_WITHIN_S
        else:
            self.ready_again_s.pop(url, None)
            self.unready_s.setdefault(url, at_s)
            self.reasons.add(re.sub(r"for \d+ s", "for a while", answer.text))
        return ready


def main() -> int:
    """Take each away, check, print and write the figures; 1 where one is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_S:g} s each rather than {USUAL_S:g} s")
    away_s = QUICK_S if parser.parse_args().quick else USUAL_S
    with tempfile.TemporaryDirectory() as scratch, Lakehouse(Path(scratch)) as lakehouse:
        lakehouse.start_writers(SETTINGS)
        load = lakehouse.load()
        figures: dict[str, float] = {}
        details: dict[str, Any] = {"away_s": away_s, "events_per_s": PER_S, "writers": len(lakehouse.writers)}
        for what in AWAY:
            under_load(load, PER_S, lambda: False, BEFORE_S)
            figures |= outage(lakehouse, load, what, away_s, details)
        load.flush()
        eventually(lambda: lakehouse.rows() >= len(load.sent), CAUGHT_UP_TIMEOUT_S)
        figures |= totals(lakehouse, load)
        figures["unhealthy_answers"] = sum(figures.pop(f"{what}_unhealthy_answers") for what in AWAY)
        load.close()
    return report("chaos", "outages", figures, BOUNDS, details)


def outage(lakehouse: Lakehouse, load: Load, what: str, away_s: float, details: dict[str, Any]) -> dict[str, float]:
    """Take one thing away under load and bring it back; returns what it showed."""
    proxy: FaultProxy = getattr(lakehouse, what)
    watch = Watch([lakehouse.url(writer.name) for writer in lakehouse.writers])
    began_s = time.monotonic()

    def elapsed_s() -> float:
        return time.monotonic() - began_s

    def keep_looking() -> bool:
        watch.look(elapsed_s(), away=True)
        return False

    proxy.set(Fault.HANG)
    if what == "registry":
        load.widen()
    under_load(load, PER_S, keep_looking, away_s / 2)
    proxy.set(Fault.REFUSE)
    under_load(load, PER_S, keep_looking, away_s / 2)
    proxy.set(Fault.NONE)
    returned_s, owed = elapsed_s(), len(load.sent)

    def recovered() -> bool:
        return watch.look(elapsed_s(), away=False) and lakehouse.rows() >= owed

    found: dict[str, float] = {
        f"{what}_ready_answers_while_away": watch.ready_while_away,
        f"{what}_rows_behind_at_return": owed - lakehouse.rows(),
    }
    if under_load(load, PER_S, recovered, CAUGHT_UP_TIMEOUT_S):
        found[f"{what}_recovery_s"] = round(elapsed_s() - returned_s, 2)
    if len(watch.unready_s) == len(watch.urls):
        found[f"{what}_unready_after_s"] = round(max(watch.unready_s.values()), 2)
    details[f"{what}_reasons"] = sorted(watch.reasons)
    return found | {f"{what}_unhealthy_answers": watch.unhealthy}


def totals(lakehouse: Lakehouse, load: Load) -> dict[str, float]:
    """Stop the writers and hold the table against what was sent."""
    crashed = sum(writer.crashed for writer in lakehouse.writers)
    codes = [writer.stop() for writer in lakehouse.writers]
    stored = lakehouse.stored(load.sent)
    return {
        "sent": len(load.sent),
        "rows": stored.rows,
        "lost": stored.lost,
        "doubled": stored.doubled + stored.positions_doubled,
        "crashed": crashed,
        "unclean_exits": sum(code != 0 for code in codes),
    }


def _get(url: str) -> httpx.Response:
    """Ask; no answer counts as 599."""
    try:
        return httpx.get(url, timeout=LOOK_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        return httpx.Response(599, text=repr(error))


if __name__ == "__main__":
    sys.exit(main())
