"""One partition of the events: its watermark, the windows over it, and what of them has closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headgate_runtime.records import column_of

from headgate_processor.rows import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
    from headgate_runtime.state import PartitionState

    from headgate_processor.aggregates import Row
    from headgate_processor.keyed import Event, KeyedWindows
    from headgate_processor.output import PartRecords

NOT_BEGUN: Final = -(1 << 62)
CLOCK_KEY: Final = b""


@dataclass(frozen=True, slots=True)
class EventTime:
    """How the time of events is read.

    Attributes:
        at: Place in a row of the event's time.
        version_at: Place of the number that is above 0 in later records of an event; None where there are none.
        out_of_orderness_ms: How far events come behind each other: the watermark stays so far behind the latest one.
        ahead_ms: An event that is dated further ahead of its record moves the watermark no further than that.
    """

    at: int
    version_at: int | None
    out_of_orderness_ms: int
    ahead_ms: int


class Taken(NamedTuple):
    """What became of a run of records.

    Attributes:
        refused: Places in the run of those that cannot be counted, and why.
        late: Places of those that came behind a window, and the definitions that missed them.
        passed_over: Later records of events that are counted already.
    """

    refused: list[tuple[int, Refused]]
    late: Sequence[tuple[int, list[str]]]
    passed_over: int


@dataclass(slots=True, eq=False)
class SourcePartition:
    """An assigned partition of the events.

    Attributes:
        source: Topic and partition number.
        profiles: Windows that are whole here.
        metrics: Windows of which this is a part.
        made: Records of whole windows that are closed.
        parts: Closed parts of others that are not told yet.
        clock: Where the watermark is kept.
        watermark: No event before it is waited for.
        next_offset: Everything below is counted; None until the first record since the assignment.
        moved_s: When its watermark last moved on, by whatever; monotonic seconds.
        idle: Nothing comes, and the watermark moves with the wall clock.
        told: Watermark and idleness as last told.
        changed: There is something to commit.
    """

    source: TopicPartition
    profiles: list[KeyedWindows]
    metrics: list[KeyedWindows]
    made: list[OutgoingRecord]
    parts: list[Mapping[str, Any]]
    clock: PartitionState[Any]
    watermark: int
    next_offset: int | None = None
    moved_s: float = 0.0
    idle: bool = False
    told: tuple[int | None, bool] = (None, False)
    changed: bool = False

    @property
    def begun(self) -> bool:
        """There is a watermark."""
        return self.watermark != NOT_BEGUN

    @property
    def keyed(self) -> list[KeyedWindows]:
        """All windows."""
        return [*self.profiles, *self.metrics]

    def take(self, records: Sequence[Record], rows: Sequence[Row | Refused], time: EventTime) -> Taken:
        """Count a run of records, in order."""
        stamps = column_of(records, "timestamp_ms")
        refused: list[tuple[int, Refused]] = []
        events: list[Event] = []
        passed_over, watermark = 0, self.watermark
        time_at, version_at = time.at, time.version_at
        for place, row in enumerate(rows):
            if isinstance(row, Refused):
                refused.append((place, row))
            elif version_at is not None and row[version_at] > 0:
                passed_over += 1
            else:
                at = row[time_at]
                events.append((place, row, at, watermark))
                reached = min(at, stamps[place] + time.ahead_ms) - time.out_of_orderness_ms
                watermark = max(watermark, reached)
        late: dict[int, list[str]] = {}
        for windows in self.keyed:
            for place in windows.take(events):
                late.setdefault(place, []).append(windows.plan.definition.name)
        self.watermark = watermark
        self.next_offset = column_of(records, "offset")[-1] + 1
        self.changed = True
        return Taken(refused, sorted(late.items()), passed_over)

    def advance(self, by_ms: int) -> None:
        """Let the watermark move on without events; it is kept with what closes by it."""
        if self.begun:
            self.watermark += by_ms

    def close(self, most: int) -> bool:
        """Close windows that are over, of ``most`` keys a definition; False where some are left."""
        done = [windows.close(self.watermark, most) for windows in self.keyed]
        for windows in self.keyed:
            windows.flush()
        return all(done)

    def take_made(self) -> list[OutgoingRecord]:
        """Give the records of whole windows closed since the last call."""
        made = self.made.copy()
        self.made.clear()
        return made

    def tell(self, parts: PartRecords) -> list[OutgoingRecord]:
        """Records of the parts that are not told yet, and of how far this partition is; none where nothing is new."""
        if not self.metrics:
            return []
        until = self._told_until() if self.begun else None
        if not self.parts and self.told == (until, self.idle):
            return []
        self.told = (until, self.idle)
        records = parts.records(self.source.partition, self.parts, watermark=until, idle=self.idle)
        self.parts.clear()
        return records

    def keep_time(self) -> None:
        """Let the watermark go into the next commit."""
        if self.begun:
            self.clock.put(CLOCK_KEY, self.watermark)
            self.clock.stage(CLOCK_KEY, self.watermark)

    def _told_until(self) -> int:
        """The last instant a window could be over that is not behind the watermark nor a part yet to be closed."""
        dues = [windows.next_due for windows in self.metrics]
        until = min([self.watermark, *(due - 1 for due in dues if due is not None)])
        return max(windows.plan.last_end(until) for windows in self.metrics)
