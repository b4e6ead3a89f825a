"""Four enrichers on a small budget, killed while traffic wants far more: never over it, and every event decided.

Run it from the project's root: ``python -m tests.chaos.budget``, or ``make chaos-enricher``. The figures go to
``build/chaos/budget.json``, and it exits with 1 where one is out of bounds.

What was spent is counted where it is spent, at the model endpoint, answers that a kill lost included.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from headgate_enricher.pricing import load_prices
from headgate_local.platform import Platform, Replicas
from headgate_local.progress import PlainProgress
from headgate_runtime.errors import UnavailableError
from headgate_schemas.agent import Usage

from tests.load.bounds import Bound, report
from tests.load.model import EVERY_CALL_IS_MADE, Model
from tests.load.outputs import Progress, exactness
from tests.load.pace import Pace
from tests.load.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.load.outputs import Exactness

REPLICAS = 4
PRIMARY, CHEAPER = "us.anthropic.claude-haiku-4-5-20251001-v1:0", "us.amazon.nova-micro-v1:0"
LIMIT_MICRODOLLARS = 50_000
LIMIT = {"scope": "agent", "window": "day", "cost_microdollars": LIMIT_MICRODOLLARS}
EVENTS, PER_S, SHARE, KEYS = 6_000, 150.0, 0.2, 20_000
LATENCY_MS, JITTER = 300, 0.5
KILL_EVERY_S = 4.0
DRAIN_TIMEOUT_S = 120.0
HTTP_TIMEOUT_S = 10.0
BUDGET = "budget"
ENVIRONMENT = {
    "HEADGATE_ENRICHER_BUDGET__LIMITS": json.dumps([LIMIT]),
    "HEADGATE_ENRICHER_MODELS__PRIMARY": json.dumps({"id": PRIMARY}),
    "HEADGATE_ENRICHER_MODELS__CHEAPER": json.dumps({"id": CHEAPER}),
    "HEADGATE_ENRICHER_EVENT_DEADLINE_S": "20",  # the budget shall decide, not how busy the machine is
    **EVERY_CALL_IS_MADE,
}
BOUNDS = (
    Bound("spend_over_limit_pct", at_most=2),
    Bound("counted_over_limit_pct", at_most=0),
    Bound("demand_over_limit", at_least=10),
    Bound("undecided", at_most=0),
    Bound("duplicated", at_most=0),
    Bound("dead_letters", at_most=0),
    Bound("kills", at_least=5),
    Bound("answers_primary", at_least=1),
    Bound("answers_cheaper", at_least=1),
    Bound("refused_for_budget", at_least=1),
    Bound("fallbacks_without_reason", at_most=0),
    Bound("replicas_that_disagree", at_most=0),
)


def main() -> int:
    """Spend, kill, check, print and write the figures; 1 where one is out of bounds."""
    _wait_out_midnight()
    with tempfile.TemporaryDirectory() as scratch:
        services = [Replicas("enricher", REPLICAS, ENVIRONMENT)]
        with Platform(Path(scratch), services=services, progress=PlainProgress(sys.stderr)) as platform:
            kills = spend(platform)
            views = [accounts(platform, f"enricher-{number}") for number in range(REPLICAS)]
            stats = Model(platform.endpoints.bedrock_url).stats()
            found = exactness(platform.endpoints)
    details = {"limit": LIMIT, "tiers": found.tiers, "fallback_reasons": found.reasons, "accounts": views[0]}
    details |= {"by_model": stats["by_model"], "replicas": REPLICAS, "model_share": SHARE}
    return report("chaos", "budget", figures(found, stats, views, kills), BOUNDS, details)


def spend(platform: Platform) -> int:
    """Send at a steady rate and kill replicas, until all is sent; wait until all is decided. Returns the kills."""
    endpoints = platform.endpoints
    model = Model(endpoints.bedrock_url)
    model.faults(latency_ms=LATENCY_MS, jitter=JITTER)
    traffic, progress = Traffic(endpoints, keys=KEYS), Progress(endpoints, "enricher")
    pace, kills, chance = Pace(PER_S, EVENTS), 0, random.Random(1)  # noqa: S311 - no secret
    kill_s, end_s = time.monotonic() + KILL_EVERY_S, time.monotonic() + EVENTS / PER_S + DRAIN_TIMEOUT_S
    while not (pace.over and done(progress) >= EVENTS):
        traffic.send(pace.due(), SHARE)
        if time.monotonic() >= kill_s and not pace.over:
            victim = platform.processes[f"enricher-{chance.randrange(REPLICAS)}"]
            kills += victim.running
            victim.kill9()
            kill_s = time.monotonic() + KILL_EVERY_S
        if time.monotonic() > end_s:
            raise TimeoutError(f"{done(progress)} of {EVENTS} events are decided; see {platform.folder}")
    for client in (traffic, progress, model):
        client.close()
    return kills


def done(progress: Progress) -> int:
    """Events the group is past; 0 while that cannot be known, as a killed replica's transaction is still open."""
    try:
        return progress.done()
    except UnavailableError:
        return 0


def accounts(platform: Platform, replica: str) -> list[dict[str, Any]]:
    """A replica's view of the ledger, once it is ready again."""
    platform.processes[replica].wait_ready()
    token = platform.endpoints.control_token_file.read_text("utf-8").strip()
    answer = httpx.get(
        f"{platform.url(replica)}/control/budget",
        headers={"Authorization": f"Bearer {token}"},
        timeout=HTTP_TIMEOUT_S,
        trust_env=False,
    )
    found: list[dict[str, Any]] = answer.raise_for_status().json()["accounts"]
    return found


def figures(
    found: Exactness, stats: Mapping[str, Any], views: list[list[dict[str, Any]]], kills: int
) -> dict[str, float]:
    """What the run showed."""
    spent = paid(stats)
    [account] = [each for each in views[0] if (each["scope"], each["window"]) == ("agent", "day")]
    settled, reserved = (account[name]["cost_microdollars"] for name in ("settled", "reserved"))
    answers = Counter({model: counters["answers"] for model, counters in stats["by_model"].items()})
    grey = sum(events for tier, events in found.tiers.items() if tier in {"model", "fallback"})
    dear = _cost(PRIMARY, stats["by_model"][PRIMARY]) / max(1, answers[PRIMARY])
    return {
        "events": found.inputs,
        "undecided": found.missing,
        "duplicated": found.duplicated,
        "dead_letters": found.dead_letters,
        "kills": kills,
        "limit_microdollars": LIMIT_MICRODOLLARS,
        "spent_microdollars": spent,
        "spend_over_limit_pct": round(max(0.0, spent / LIMIT_MICRODOLLARS - 1) * 100, 3),
        "settled_microdollars": settled,
        "reserved_microdollars": reserved,
        "counted_over_limit_pct": round(max(0.0, (settled + reserved) / LIMIT_MICRODOLLARS - 1) * 100, 3),
        "demand_over_limit": round(grey * dear / LIMIT_MICRODOLLARS, 1),
        "grey_events": grey,
        "answers_primary": answers[PRIMARY],
        "answers_cheaper": answers[CHEAPER],
        "refused_for_budget": found.reasons[BUDGET],
        "fallbacks_without_reason": found.reasons[None],
        "replicas_that_disagree": sum(view != views[0] for view in views),
    }


def paid(stats: Mapping[str, Any]) -> int:
    """What the endpoint would charge, in microdollars; tokens of the prompt cache at the dearest model's price."""
    cached = Usage(input_tokens=stats["cache_read_tokens"] + stats["cache_write_tokens"])
    by_model = sum(_cost(model, counters) for model, counters in stats["by_model"].items())
    return by_model + load_prices(None).price(PRIMARY).cost_microdollars(cached)


def _cost(model: str, counters: Mapping[str, int]) -> int:
    usage = Usage(counters["answers"], counters["input_tokens"], counters["output_tokens"])
    return load_prices(None).price(model).cost_microdollars(usage)


def _wait_out_midnight() -> None:
    """A day's budget is renewed at midnight UTC: a run that crosses it would rightly spend two."""
    now = dt.datetime.now(dt.UTC)
    left_s = 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)
    if left_s < 2 * DRAIN_TIMEOUT_S + EVENTS / PER_S:
        time.sleep(left_s + 1)


if __name__ == "__main__":
    sys.exit(main())
