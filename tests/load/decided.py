"""Decided events to load the processor with, some of them out of order, and what its windows over them should come to.

The windows are worked out by DuckDB over all events at once: nothing of the processor takes part in it.
"""

from __future__ import annotations

import copy
import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from headgate_schemas import Contracts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

STEP_MS = 3_600_000
OUT_OF_ORDER, BEHIND_MS = 0.05, 8_000
UNITS = 10_000
ACCURACY = 0.01
CLOSER = "closer"
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
STEPPED = {
    "account_activity_1m": (MINUTE, MINUTE),
    "account_activity_10m": (10 * MINUTE, 5 * MINUTE),
    "account_activity_1h": (HOUR, 10 * MINUTE),
    "account_activity_24h": (DAY, HOUR),
}
GAP = 30 * MINUTE
PERCENTILES = {"risk_score": (50, 90, 99), "latency_ms": (50, 95, 99)}
BOUNDS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]

_PROFILE = """
    SELECT account, '{name}' AS name, start, finish, count(*) AS events,
      count(*) FILTER (type = 'transaction') AS payments, count(*) FILTER (outcome = 'failure') AS failed_logins,
      least(count(DISTINCT merchant), 32) AS merchants, least(count(DISTINCT country), 32) AS countries,
      least(count(DISTINCT device), 32) AS devices,
      list(struct_pack(c := currency, a := amount)) FILTER (amount IS NOT NULL) AS paid
    FROM ({windows}) GROUP BY ALL
"""
_STEPPED = """
    SELECT *, unnest(generate_series((t // {step}) * {step} - {size} + {step}, (t // {step}) * {step}, {step})) AS start,
      start + {size} AS finish FROM events
"""
_SESSIONS = """
    SELECT *, min(t) OVER session AS start, max(t) OVER session + {gap} AS finish FROM (
      SELECT *, count(*) FILTER (begins) OVER (PARTITION BY account ORDER BY t RANGE UNBOUNDED PRECEDING) AS number FROM (
        SELECT *, coalesce(t - lag(t) OVER (PARTITION BY account ORDER BY t) > {gap}, true) AS begins FROM events
      )) WINDOW session AS (PARTITION BY account, number)
"""


def events(count: int, *, accounts: int, start_ms: int, span_ms: int, seed: int = 7) -> Iterator[dict[str, Any]]:
    """Decided events of accounts over a span of time, one in twenty of them up to eight seconds behind."""
    rng = random.Random(seed)  # noqa: S311 - the same events each time
    plain = Contracts.load().examples("agent_enriched_event")["rules_allow"]
    for number in range(count):
        at = start_ms + number * span_ms // count
        if rng.random() < OUT_OF_ORDER:
            at = max(start_ms, at - rng.randint(1, BEHIND_MS))
        kind = rng.choices(["transaction", "login", "page_view"], [6, 2, 2])[0]
        paid = kind == "transaction"
        event = copy.deepcopy(plain)
        event |= {"event_id": f"event-{seed}-{number}", "event_type": kind, "event_timestamp": at}
        event["payload"]["attributes"] |= {
            "user_id": f"account-{rng.randrange(accounts):06d}",
            "amount": rng.randrange(1, 500_000) / 100 if paid else None,
            "currency": rng.choice(["EUR", "USD", "JPY"]) if paid else None,
            "merchant": f"merchant-{rng.randrange(60)}" if paid else None,
            "country": rng.choice(["DE", "FR", "GB", "US"]),
            "device_id": f"device-{rng.randrange(5)}",
            "outcome": rng.choice(["success", "failure"]) if kind == "login" else None,
            "page": "/" if kind == "page_view" else None,
        }
        event["agent_metadata"] |= {
            "decision": rng.choices(["allow", "flag_high_risk"], [9, 1])[0],
            "agent_version": rng.choice(["version-1", "version-2"]),
            "tier": rng.choices(["rules", "model", "fallback"], [90, 8, 2])[0],
            "risk_score": rng.randrange(1_001) / 1_000,
            "cost_microdollars": rng.randrange(2_000),
        }
        event["processing_metadata"] |= {"ingestion_time": at, "processing_time": at + rng.randrange(1, 5_000)}
        yield event


def closer(partition: int, at: int) -> dict[str, Any]:
    """An event of nobody, long after all others, at which their windows are over."""
    event = next(events(1, accounts=1, start_ms=at, span_ms=0))
    event["event_id"] = event["payload"]["attributes"]["user_id"] = f"{CLOSER}-{partition}"
    event["agent_metadata"] |= {"agent_version": CLOSER, "decision": CLOSER}
    return event | {"event_type": "page_view"}


@dataclass
class Compared:
    """What a comparison found.

    Attributes:
        windows: Windows there should be.
        missing: Of them, those that are not there.
        doubled: Windows told more than once.
        foreign: Windows there should not be.
        unequal: Windows with another figure.
        worst_percentile_error: Largest error of a percentile, relative to its value.
    """

    windows: int = 0
    missing: int = 0
    doubled: int = 0
    foreign: int = 0
    unequal: int = 0
    worst_percentile_error: float = 0.0
    examples: list[str] = field(default_factory=list)

    def hold(self, wanted: Mapping[Any, Any], told: Iterable[tuple[Any, Any]]) -> None:
        """Hold told windows against those wanted, by key."""
        found: dict[Any, Any] = {}
        for key, value in told:
            self.doubled += key in found
            found[key] = value
        self.windows += len(wanted)
        self.missing += len(wanted.keys() - found.keys())
        self.foreign += len(found.keys() - wanted.keys())
        unequal = [key for key in wanted.keys() & found.keys() if wanted[key] != found[key]]
        self.unequal += len(unequal)
        self.examples += [f"{key}: wanted {wanted[key]}, told {found[key]}" for key in unequal[:2]]

    def figures(self) -> dict[str, float]:
        """The figures, for a report."""
        return {name: value for name, value in vars(self).items() if name != "examples"}


class Batch:
    """All events at once, in DuckDB."""

    def __init__(self, decided: Iterable[Mapping[str, Any]]) -> None:
        rows = [_row(event) for event in decided]
        self._database = duckdb.connect()
        self._database.register("given", pa.Table.from_pylist(rows))
        self._database.execute("CREATE TABLE events AS SELECT * FROM given")

    def missing(self, profiles: Iterable[Mapping[str, Any]]) -> int:
        """How many windows of accounts have not been told yet."""
        return len(self._profiles().keys() - {_profile(each)[0] for each in profiles})

    def compare(self, profiles: Iterable[Mapping[str, Any]], metrics: Iterable[Mapping[str, Any]]) -> Compared:
        """Hold the processor's windows against the batch's; those of closers are passed over."""
        compared = Compared()
        told = [each for each in profiles if not each["account"].startswith(CLOSER)]
        compared.hold(self._profiles(), (_profile(each) for each in told))
        wanted = self._decisions()
        whole = [each for each in metrics if CLOSER not in each["key"]]
        decisions = [each for each in whole if each["metric"] == "decisions_1m"]
        compared.hold(
            {key: value[0] for key, value in wanted.items()},
            (((each["key"], each["window_start"]), _decision(each)) for each in decisions),
        )
        for each in decisions:
            _, exact = wanted.get((each["key"], each["window_start"]), ((), {}))
            for name, value in exact.items():
                error = abs(each["values"][name] - value) / value if value else abs(each["values"][name])
                compared.worst_percentile_error = max(compared.worst_percentile_error, error)
        for name, size in (("scores_1m", MINUTE), ("scores_1h", HOUR)):
            scores = [each for each in whole if each["metric"] == name]
            compared.hold(self._scores(size), (_scores(each) for each in scores))
        return compared

    def _profiles(self) -> dict[Any, Any]:
        wanted: dict[Any, Any] = {}
        queries = [(name, _STEPPED.format(size=size, step=step)) for name, (size, step) in STEPPED.items()]
        queries.append(("account_activity_visit", _SESSIONS.format(gap=GAP)))
        for name, windows in queries:
            for row in self._database.execute(_PROFILE.format(name=name, windows=windows)).fetchall():
                paid: dict[str, list[float]] = {}
                for each in row[10] or ():
                    paid.setdefault(each["c"], []).append(each["a"])
                money = {
                    currency: (sum(round(amount * 100) for amount in amounts) * 100, min(amounts), max(amounts))
                    for currency, amounts in paid.items()
                }
                wanted[row[:4]] = (*row[4:10], money)
        return wanted

    def _decisions(self) -> dict[Any, Any]:
        found = self._database.execute("""
            SELECT type || '/' || decision || '/' || version AS key, (t // 60000) * 60000 AS start, count(*) AS events,
              count(*) FILTER (tier = 'model'), count(*) FILTER (tier = 'fallback'), sum(cost)::BIGINT,
              list_sort(list(score)), list_sort(list(latency)) FROM events GROUP BY ALL
        """).fetchall()
        wanted = {}
        for key, start, number, model, fallback, cost, scores, latencies in found:
            exact = {
                f"{name}_p{percentile}": values[int(percentile / 100 * (number - 1))]
                for name, values in (("risk_score", scores), ("latency_ms", latencies))
                for percentile in PERCENTILES[name]
            }
            wanted[key, start] = ((number, model, fallback, model / number, cost), exact)
        return wanted

    def _scores(self, size: int) -> dict[Any, Any]:
        ranges = list(itertools.pairwise([0, *BOUNDS, 2]))
        counts = ", ".join(f"count(*) FILTER (score >= {low} AND score < {high})" for low, high in ranges)
        found = self._database.execute(
            f"SELECT type, (t // {size}) * {size} AS start, {counts} FROM events GROUP BY ALL"  # noqa: S608 - numbers
        ).fetchall()
        return {row[:2]: row[2:] for row in found}


def _row(event: Mapping[str, Any]) -> dict[str, Any]:
    attributes, decided, processed = (
        event["payload"]["attributes"],
        event["agent_metadata"],
        event["processing_metadata"],
    )
    return {
        "t": event["event_timestamp"],
        "type": event["event_type"],
        "account": attributes["user_id"],
        "device": attributes["device_id"],
        **{name: attributes[name] for name in ("amount", "currency", "merchant", "country", "outcome")},
        **{name: decided[name] for name in ("decision", "tier")},
        "version": decided["agent_version"],
        "score": decided["risk_score"],
        "cost": decided["cost_microdollars"],
        "latency": processed["processing_time"] - processed["ingestion_time"],
    }


def _profile(told: Mapping[str, Any]) -> tuple[Any, Any]:
    counts, values = told["counts"], told["values"]
    money = {
        name.partition(".")[2]: (
            int.from_bytes(written, "big", signed=True),
            values[f"amount_least.{name.partition('.')[2]}"],
            values[f"amount_largest.{name.partition('.')[2]}"],
        )
        for name, written in told["sums"].items()
    }
    names = ("payments", "failed_logins", "merchants", "countries", "devices")
    key = (told["account"], told["window"], told["window_start"], told["window_end"])
    return key, (told["events"], *(counts[name] for name in names), money)


def _decision(told: Mapping[str, Any]) -> tuple[float, ...]:
    names = ("decided_by_model", "decided_by_fallback", "model_share", "cost_microdollars")
    return (told["events"], *(told["values"][name] for name in names))


def _scores(told: Mapping[str, Any]) -> tuple[Any, Any]:
    names = [*(f"risk_score_below_{bound:g}" for bound in BOUNDS), "risk_score_from_0.9"]
    return (told["key"], told["window_start"]), tuple(told["values"][name] for name in names)
