"""What closed windows become on the topics: profiles, parts of metrics, metrics and alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headgate_runtime.records import OutgoingRecord

from headgate_processor.aggregates import SKETCH_KIND, UNITS
from headgate_processor.keyed import written_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headgate_runtime.avro import Encoder

    from headgate_processor.aggregates import Results
    from headgate_processor.definition import Alert
    from headgate_processor.keyed import Plan, Told

MOST_PARTS: Final = 1_000
"""Windows in one record of parts."""


class Profiles:
    """Makes ``account_profile`` records."""

    def __init__(self, topic: str, encoder: Encoder) -> None:
        self.topic = topic
        self._encode = encoder.encode

    def record(self, plan: Plan, told: Told, *, partition: int, now_ms: int) -> OutgoingRecord:
        """The record of a closed window, for the partition its events came from."""
        spec, window = plan.definition.windows[told.number], told.window
        name = metric_name(plan, told.number)
        results = plan.aggregates.results(window.totals)
        value = {
            "account": told.key.decode(),
            "window": name,
            "definition": plan.definition.hash,
            "window_kind": spec.kind,
            "window_start": window.start,
            "window_end": window.end,
            "events": window.totals[0],
            "counts": results.counts,
            "sums": {split: decimal_bytes(units) for split, units in results.sums.items()},
            "values": results.values,
            "capped": results.capped,
            "closed_at": now_ms,
        }
        return OutgoingRecord(self.topic, b"%s/%s" % (name.encode(), told.key), self._encode(value), (), partition)


class PartRecords:
    """Makes ``metric_parts`` records."""

    def __init__(self, topic: str, encoder: Encoder, source_topic: str) -> None:
        self._topic = topic
        self._encode = encoder.encode
        self._source_topic = source_topic

    def records(
        self, partition: int, parts: Sequence[Mapping[str, Any]], *, watermark: int | None, idle: bool
    ) -> list[OutgoingRecord]:
        """Records of a partition's parts; the last one says how far the partition is."""
        chunks = [parts[start : start + MOST_PARTS] for start in range(0, len(parts), MOST_PARTS)] or [[]]
        last = len(chunks) - 1
        return [
            OutgoingRecord(
                self._topic,
                f"{self._source_topic}/{partition}".encode(),
                self._encode(
                    {
                        "source_topic": self._source_topic,
                        "source_partition": partition,
                        "watermark": watermark if number == last else None,
                        "idle": idle,
                        "parts": chunk,
                    }
                ),
                (),
                0,
            )
            for number, chunk in enumerate(chunks)
        ]


def part_of(plan: Plan, told: Told) -> dict[str, Any]:
    """A closed window as a part to be merged."""
    return {
        "metric": metric_name(plan, told.number),
        "definition": plan.definition.hash,
        "key": told.key.decode(),
        "window_start": told.window.start,
        "window_end": told.window.end,
        "state": written_json(plan.aggregates.dump(told.window.totals)),
    }


class MetricRecords:
    """Makes ``decision_metric`` and ``decision_alert`` records."""

    def __init__(
        self, *, topic: str, encoder: Encoder, alerts_topic: str, alerts_encoder: Encoder, source_topic: str
    ) -> None:
        self.topic = topic
        self._encode = encoder.encode
        self._alerts_topic = alerts_topic
        self._encode_alert = alerts_encoder.encode
        self._source_topic = source_topic

    def metric(
        self,
        plan: Plan,
        told: Told,
        figures: Mapping[str, float],
        results: Results,
        *,
        partition: int | None,
        now_ms: int,
    ) -> OutgoingRecord:
        """The record of a window; ``partition`` where it is no more than that partition's part."""
        window = told.window
        value = {
            "metric": metric_name(plan, told.number),
            "definition": plan.definition.hash,
            "tenant": None,
            "key": told.key.decode(),
            "window_kind": plan.definition.windows[told.number].kind,
            "window_start": window.start,
            "window_end": window.end,
            "source_topic": self._source_topic,
            "source_partition": partition,
            "events": window.totals[0],
            "values": figures,
            "sketches": {name: {"kind": SKETCH_KIND, "data": data} for name, data in results.sketches.items()},
            "closed_at": now_ms,
        }
        return OutgoingRecord(self.topic, told.key, self._encode(value))

    def late_part(self, plan: Plan, told: Told, partition: int, now_ms: int) -> OutgoingRecord:
        """The record of a part whose window was told before: its figures come on top."""
        results = plan.aggregates.results(told.window.totals)
        return self.metric(plan, told, figures_of(results), results, partition=partition, now_ms=now_ms)

    def alert(self, alert: Alert, value: float, plan: Plan, told: Told, *, now_ms: int) -> OutgoingRecord:
        """The record of a window that broke a rule."""
        window = told.window
        record = {
            "alert": alert.name,
            "description": alert.description,
            "metric": metric_name(plan, told.number),
            "key": told.key.decode(),
            "window_start": window.start,
            "window_end": window.end,
            "events": window.totals[0],
            "aggregate": alert.aggregate,
            "value": value,
            "above": alert.above,
            "below": alert.below,
            "raised_at": now_ms,
        }
        return OutgoingRecord(self._alerts_topic, told.key, self._encode_alert(record))


def figures_of(results: Results) -> dict[str, float]:
    """All figures of a window as doubles, by name."""
    counts = {name: float(count) for name, count in results.counts.items()}
    return counts | {name: units / UNITS for name, units in results.sums.items()} | results.values


def broken(alerts: Sequence[Alert], events: int, figures: Mapping[str, float]) -> list[tuple[Alert, float]]:
    """Rules that a window breaks, each with the figure it looked at."""
    found = []
    for alert in alerts:
        value = figures.get(alert.aggregate)
        if value is None or events < alert.at_least:
            continue
        if (alert.above is not None and value > alert.above) or (alert.below is not None and value < alert.below):
            found.append((alert, value))
    return found


def metric_name(plan: Plan, number: int) -> str:
    """Name of a definition's kind of window, as records have it."""
    return f"{plan.definition.name}_{plan.definition.windows[number].name}"


def decimal_bytes(units: int) -> bytes:
    """A whole number as Avro writes the digits of a decimal: two's complement, the highest byte first."""
    return units.to_bytes((units + (units < 0)).bit_length() // 8 + 1, "big", signed=True)
