"""Holds the table against the topic: every event once, unchanged, and nothing else."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from headgate_runtime.avro import Decoder
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts, field_getter

if TYPE_CHECKING:
    from headgate_runtime.config import KafkaSettings, RegistrySettings
    from headgate_runtime.records import Record

Source = Mapping[str, Mapping[str, Any]]


class Later(NamedTuple):
    """What a later row of an event says."""

    revision: int
    tier: str
    decision: str


@dataclass
class Comparison:
    """What a table holds of a topic's events.

    Attributes:
        events_in: Events in the topic, each event id once.
        rows: Rows in the table.
        duplicates: Rows beyond the first of an event id and revision.
        missing: Events without a row.
        foreign: Rows without an event.
        changed: Rows whose base event is not the event that went in.
        later: Revision, tier and decision of the rows that people's answers made, by event id.
        tiers: Rows by the tier that decided.
        totals: Sums of the rows' usage figures, by name.
    """

    events_in: int = 0
    rows: int = 0
    duplicates: int = 0
    missing: int = 0
    foreign: int = 0
    changed: int = 0
    later: dict[str, list[Later]] = field(default_factory=dict)
    tiers: Counter[str] = field(default_factory=Counter)
    totals: Counter[str] = field(default_factory=Counter)

    @property
    def later_rows(self) -> int:
        """Rows with a revision above 0."""
        return sum(map(len, self.later.values()))

    @property
    def exact(self) -> bool:
        """True where every event is there once and unchanged, and nothing but later rows besides."""
        return self.rows - self.later_rows == self.events_in and not (
            self.duplicates or self.missing or self.foreign or self.changed
        )


def read_topic(kafka: KafkaSettings, topic: str) -> Iterator[Record]:
    """Every committed record of a topic, from its start to the end it had when this was called."""
    consumer = KafkaConsumer(kafka, group_id=f"admin-verify-{uuid.uuid4()}")
    try:
        consumer.subscribe(
            [topic], on_assign=lambda tps: dict.fromkeys(tps, 0), on_revoke=lambda _: None, on_lost=lambda _: None
        )
        ends: dict[Any, int] | None = None
        while ends is None or any((consumer.position(tp) or 0) < end for tp, end in ends.items()):
            yield from consumer.poll(5_000, 0.5)
            if ends is None and (assigned := consumer.assignment()):
                ends = consumer.end_offsets(assigned)
    finally:
        consumer.close()


def values_by_event(
    kafka: KafkaSettings, registry: RegistrySettings, topic: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Event id and value of each record of a topic."""
    contracts = Contracts.load()
    contract = contracts.topic(topic)
    decoder = Decoder(ConfluentRegistry(registry), contracts.record(contract.record))
    event_id = field_getter(contract.fields.event_id or "")
    values = (decoder.decode(record.value) for record in read_topic(kafka, topic))
    return ((event_id(value), value) for value in values)


def compare(source: Source, rows: Iterable[Mapping[str, Any]], id_path: str) -> Comparison:
    """Compare the events that went in with the rows that came out.

    Args:
        source: Events by event id, one sent twice once.
        rows: The table's rows, timestamps in milliseconds.
        id_path: Dotted path of the event id, from the topic's contract.
    """
    result = Comparison(events_in=len(source))
    event_id = field_getter(id_path)
    seen: set[tuple[str, int]] = set()
    for row in rows:
        result.rows += 1
        decision = row["agent_metadata"]
        identity = (event_id(row), decision["revision"])
        result.duplicates += identity in seen
        seen.add(identity)
        if decision["revision"] > 0:
            later = Later(decision["revision"], decision["tier"], decision["decision"])
            result.later.setdefault(identity[0], []).append(later)
        event = source.get(identity[0])
        if event is None:
            result.foreign += 1
        elif any(row[name] != value for name, value in event.items()):
            result.changed += 1
        result.tiers[decision["tier"]] += 1
        for name in ("model_calls", "input_tokens", "output_tokens", "cost_microdollars"):
            result.totals[name] += decision[name]
    result.missing = len(source.keys() - {identity[0] for identity in seen})
    return result
