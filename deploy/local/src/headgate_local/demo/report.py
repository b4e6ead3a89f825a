"""The demo's result: as build/demo/report.json, as a table, and in plain words."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_local.demo.reviewer import Reviewed
    from headgate_local.demo.verify import Comparison

MICRODOLLARS = 1_000_000
TIERS = ("rules", "model", "fallback")


def percentile(ascending: Sequence[float], share: float) -> float:
    """The value below which a share of them lies; 0 where there are none."""
    if len(ascending) < 2:  # noqa: PLR2004 - quantiles need two
        return float(ascending[0]) if ascending else 0.0
    return float(statistics.quantiles(ascending, n=1000, method="inclusive")[round(share * 1000) - 1])


@dataclass(frozen=True)
class DemoReport:
    """What a demo run found.

    Attributes:
        comparison: The table held against the topic.
        reviewed: What people were asked, and what was answered.
        expected_events: How many events the demo sent.
        dead_letters: Records in the dead-letter topics.
        freshness_ms: Commit time less produce time of every row whose snapshot is still known, ascending.
        metric_rows: Windows over decisions in their table; those of the last half hour are not over yet.
        kills: How often each service was killed.
        kills_before_last_row: How many of these kills came while rows were still missing.
        elapsed_s: From the first event sent until the last was queryable.
        total_s: The whole command, set-up of the stack included.
    """

    comparison: Comparison
    reviewed: Reviewed
    expected_events: int
    dead_letters: int
    freshness_ms: Sequence[float]
    elapsed_s: float
    total_s: float
    metric_rows: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    kills_before_last_row: int = 0

    @property
    def unmeasured(self) -> int:
        """First rows without a freshness: the snapshot that added them has expired, and with it the time of its commit."""
        return self.comparison.rows - self.comparison.later_rows - len(self.freshness_ms)

    @property
    def faults(self) -> list[str]:
        """What is wrong, in words; empty where nothing is."""
        c = self.comparison
        counted = {
            "events did not reach the topic": self.expected_events - c.events_in,
            "events are missing from the table": c.missing,
            "rows are there more than once": c.duplicates,
            "rows belong to no event": c.foreign,
            "rows differ from the event that went in": c.changed,
            "records went to dead letters": self.dead_letters,
            **self.reviewed.faults(c.later),
        }
        faults = [f"{count} {what}" for what, count in counted.items() if count]
        faults += [f"no event was decided by the tier {tier}" for tier in TIERS if not c.tiers[tier]]
        return faults if self.reviewed.answers else [*faults, "no review was answered"]

    def as_json(self) -> dict[str, object]:
        """The report as it is written to build/demo/report.json."""
        c = self.comparison
        return {
            "events_in": c.events_in,
            "rows_in_table": c.rows,
            "duplicates": c.duplicates,
            "missing": c.missing,
            "changed": c.changed,
            "foreign": c.foreign,
            "dead_letters": self.dead_letters,
            "decisions_by_tier": dict(sorted(c.tiers.items())),
            "reviews": {
                "requested": len(self.reviewed.asked),
                "answered": len(self.reviewed.answers),
                "later_rows": c.later_rows,
            },
            "decision_metric_rows": self.metric_rows,
            "model_calls": c.totals["model_calls"],
            "input_tokens": c.totals["input_tokens"],
            "output_tokens": c.totals["output_tokens"],
            "cost_usd": c.totals["cost_microdollars"] / MICRODOLLARS,
            "freshness_ms": {"p50": self._freshness(0.5), "p99": self._freshness(0.99)},
            "rows_without_freshness": self.unmeasured,
            "elapsed_s": round(self.elapsed_s, 1),
            "total_s": round(self.total_s, 1),
            "kills": self.kills,
            "kills_before_last_row": self.kills_before_last_row,
            "faults": self.faults,
        }

    def figures(self) -> dict[str, float]:
        """The report's numbers, flat."""
        flat: dict[str, float] = {}
        for name, value in self.as_json().items():
            parts = value.items() if isinstance(value, dict) else [("", value)]
            for part, number in parts:
                if isinstance(number, int | float):
                    flat[f"{name}_{part}" if part else name] = number
        return flat

    def as_table(self) -> Table:
        """The report for a terminal."""
        table = Table("figure", "value", title="Headgate demo")
        for name, value in self.as_json().items():
            shown = ", ".join(f"{k} {v:,}" for k, v in value.items()) if isinstance(value, dict) else value
            if name != "faults" and shown != "":
                table.add_row(name, f"{shown:,}" if isinstance(shown, int | float) else str(shown))
        return table

    def summary(self) -> str:
        """The report in plain words."""
        c = self.comparison
        if self.faults:
            return "The run is not exact: " + "; ".join(self.faults) + "."
        killed = sum(self.kills.values())
        under = f", although services were killed {killed} times" if killed else ""
        return (
            f"All {c.events_in:,} events were decided and stored exactly once{under}. Rules decided {c.tiers['rules']:,}, "
            f"the model {c.tiers['model']:,}, and the fallback {c.tiers['fallback']:,} while the model was away. "
            f"People were asked about {len(self.reviewed.asked):,} of them; {len(self.reviewed.answers):,} were answered, "
            f"and each answer is a later row. "
            f"The model was asked {c.totals['model_calls']:,} times for ${c.totals['cost_microdollars'] / MICRODOLLARS:.4f}. "
            f"Half of the rows could be queried {self._freshness(0.5) / 1000:.1f} s after their event was produced, "
            f"99 % after {self._freshness(0.99) / 1000:.1f} s"
            + (f"; {self.unmeasured:,} rows are left out, their snapshots have expired." if self.unmeasured else ".")
        )

    def _freshness(self, share: float) -> float:
        return round(percentile(self.freshness_ms, share), 1)
