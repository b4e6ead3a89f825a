"""What was decided held against what a replay decides, event by event; on disk, so that there may be many."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from headgate_runtime.avro import Decoder, FieldCodec
from headgate_runtime.errors import UndecodableError
from headgate_runtime.state import Spill
from headgate_schemas import field_getter

if TYPE_CHECKING:
    from headgate_runtime.records import Record, TopicPartition
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import RecordSchema, TopicContract

DECISION: Final = "agent_metadata"
REPLAYED_FROM: Final = "headgate-replayed-from"
NOT_RECORDED: Final = "not_recorded"
_ROWS: Final = 1_000
_EXAMPLES: Final = 10


class Comparison:
    """Takes decided events first, then what became of them in the replay.

    Args:
        contract: The topic of decided events.
        record: Its record.
        registry: Where their schemas are.

    Attributes:
        events: Decided events, later revisions left out.
        last: Offset behind the last record of each partition.
    """

    def __init__(self, contract: TopicContract, record: RecordSchema, registry: SchemaRegistry) -> None:
        self._decoder = Decoder(registry, record)
        self._codec = FieldCodec(record, DECISION)
        self._event_id = field_getter(contract.fields.event_id or "")
        self._decided = Spill(None, "replay")
        self._rows: list[tuple[bytes, bytes]] = []
        self.events = 0
        self.last: dict[TopicPartition, int] = {}
        self._unreadable = self._identical = self._not_recorded = 0
        self._fields: Counter[str] = Counter()
        self._decisions: Counter[str] = Counter()
        self._examples: list[dict[str, Any]] = []
        self._different = 0

    def take_decided(self, record: Record) -> None:
        """Take a record of the decided events, in the order of its partition."""
        self.last[record.source] = record.offset + 1
        try:
            decided = self._decoder.decode(record.value)[DECISION]
        except UndecodableError:
            self._unreadable += 1
            return
        if decided["revision"] == 0:
            self.events += 1
            self._rows.append((f"{record.partition}/{record.offset}".encode(), self._codec.encode(decided)))
            if len(self._rows) >= _ROWS:
                self._write()

    def take_replayed(self, record: Record) -> None:
        """Take a record of the replay, after all of the decided events."""
        self._write()
        place = dict(record.headers).get(REPLAYED_FROM)
        before = self._decided.take(place) if place is not None else None
        if before is None:
            return
        value = self._decoder.decode(record.value)
        now: dict[str, Any] = value[DECISION]
        if now["fallback_reason"] == NOT_RECORDED:
            self._not_recorded += 1
        if self._codec.encode(now) == before:
            self._identical += 1
        else:
            self._differs(str(self._event_id(value)), self._codec.decode(before), now)

    def document(self) -> dict[str, Any]:
        """What was found, in JSON form."""
        self._write()
        return {
            "events": self.events,
            "identical": self._identical,
            "different": self._different,
            "missing": len(self._decided),
            "not_recorded": self._not_recorded,
            "unreadable": self._unreadable,
            "fields": dict(self._fields.most_common()),
            "decisions": dict(self._decisions.most_common()),
            "examples": self._examples,
        }

    def close(self) -> None:
        """Remove what is on disk."""
        self._decided.close()

    def _differs(self, event_id: str, before: dict[str, Any], now: dict[str, Any]) -> None:
        self._different += 1
        fields = [name for name, value in now.items() if value != before[name]]
        self._fields.update(fields)
        if "decision" in fields:
            self._decisions[f"{before['decision']} -> {now['decision']}"] += 1
        if len(self._examples) < _EXAMPLES:
            self._examples.append({"event_id": event_id, "fields": fields})

    def _write(self) -> None:
        if self._rows:
            self._decided.write(self._rows)
            self._rows.clear()
