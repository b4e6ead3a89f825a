"""What closed windows become on the topics: profiles, parts of metrics, metrics and alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headgate_runtime.records import OutgoingRecord

from headgate_processor.aggregates import SKETCH_KIND, UNITS
from headgate_processor.datum import (
    bytes_bytes,
    decimal_bytes,
    double_bytes,
    long_bytes,
    map_bytes,
    text_bytes,
    texts_bytes,
)
from headgate_processor.keyed import written_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from headgate_runtime.avro import Encoder

    from headgate_processor.aggregates import Results, Totals
    from headgate_processor.definition import Alert
    from headgate_processor.keyed import Plan, Tell

MOST_BYTES: Final = 500_000
"""Size of a record of parts, about; one that is larger by itself goes alone."""
_PART_BYTES: Final = 128


class Profiles:
    """Makes ``account_profile`` records.

    Args:
        topic: Their topic.
        prefix: The five bytes before each datum.
        now_ms: Milliseconds since the epoch.
    """

    def __init__(self, topic: str, prefix: bytes, now_ms: Callable[[], int]) -> None:
        self.topic = topic
        self._prefix = prefix
        self._now_ms = now_ms

    def teller(self, plan: Plan, partition: int, made: list[OutgoingRecord]) -> Tell:
        """What adds the records of closed windows to those made, for the partition their events came from."""
        topic, prefix, now_ms, results_of = self.topic, self._prefix, self._now_ms, plan.aggregates.results
        kinds = [
            (f"{name}/".encode(), text_bytes(name) + text_bytes(plan.hash) + text_bytes(spec.kind))
            for name, spec in zip(plan.names, plan.definition.windows, strict=True)
        ]

        def tell(key: bytes, number: int, start: int, end: int, totals: Totals) -> None:
            key_prefix, same = kinds[number]
            results = results_of(totals)
            value = (
                prefix,
                bytes_bytes(key),
                same,
                long_bytes(start),
                long_bytes(end),
                long_bytes(totals[0]),
                map_bytes(results.counts, long_bytes),
                map_bytes(results.sums, decimal_bytes),
                map_bytes(results.values, double_bytes),
                texts_bytes(results.capped),
                long_bytes(now_ms()),
            )
            made.append(OutgoingRecord(topic, key_prefix + key, b"".join(value), (), partition))

        return tell


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
        chunks = list(_chunks(parts)) or [[]]
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


def _chunks(parts: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Parts in the order they are in, so many at a time as fit in a record."""
    chunk: list[Mapping[str, Any]] = []
    size = 0
    for part in parts:
        room = len(part["state"]) + len(part["key"]) + _PART_BYTES
        if chunk and size + room > MOST_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(part)
        size += room
    if chunk:
        yield chunk


def part_teller(plan: Plan, parts: list[Mapping[str, Any]]) -> Tell:
    """What adds closed windows to the parts that are to be merged."""

    def tell(key: bytes, number: int, start: int, end: int, totals: Totals) -> None:
        parts.append(
            {
                "metric": plan.names[number],
                "definition": plan.hash,
                "key": key.decode(),
                "window_start": start,
                "window_end": end,
                "state": written_json(plan.aggregates.dump(totals)),
            }
        )

    return tell


class Told(NamedTuple):
    """A merged window, or a part of one, of the definition's kind of that number."""

    key: bytes
    number: int
    start: int
    end: int
    totals: Totals


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
        value = {
            "metric": plan.names[told.number],
            "definition": plan.hash,
            "tenant": None,
            "key": told.key.decode(),
            "window_kind": plan.definition.windows[told.number].kind,
            "window_start": told.start,
            "window_end": told.end,
            "source_topic": self._source_topic,
            "source_partition": partition,
            "events": told.totals[0],
            "values": figures,
            "sketches": {name: {"kind": SKETCH_KIND, "data": data} for name, data in results.sketches.items()},
            "closed_at": now_ms,
        }
        return OutgoingRecord(self.topic, told.key, self._encode(value))

    def late_part(self, plan: Plan, told: Told, partition: int, now_ms: int) -> OutgoingRecord:
        """The record of a part whose window was told before: its figures come on top."""
        results = plan.aggregates.results(told.totals)
        return self.metric(plan, told, figures_of(results), results, partition=partition, now_ms=now_ms)

    def alert(self, alert: Alert, value: float, plan: Plan, told: Told, *, now_ms: int) -> OutgoingRecord:
        """The record of a window that broke a rule."""
        record = {
            "alert": alert.name,
            "description": alert.description,
            "metric": plan.names[told.number],
            "key": told.key.decode(),
            "window_start": told.start,
            "window_end": told.end,
            "events": told.totals[0],
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
