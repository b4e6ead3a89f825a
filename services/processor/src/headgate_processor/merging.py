"""Parts of windows merged to whole ones, and what is worked out of those: drift, metrics, alerts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headgate_processor.drift import forgotten_at, moved, remember
from headgate_processor.keyed import KeyState, read_state, written_json
from headgate_processor.output import Told, broken, figures_of
from headgate_processor.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from headgate_runtime.avro import Decoder, Encoder
    from headgate_runtime.records import OutgoingRecord, TopicPartition
    from headgate_runtime.state import PartitionState

    from headgate_processor.aggregates import Totals
    from headgate_processor.definition import Drift
    from headgate_processor.drift import History
    from headgate_processor.keyed import Plan
    from headgate_processor.output import MetricRecords

MERGED_KEY: Final = b"merged"
_HOURS: Final = b"hours"


class Progress(NamedTuple):
    """How far one partition of the events is, as it last told.

    Attributes:
        watermark: All its windows that are over by then are told; None where it is not known.
        idle: Nobody has to wait for it.
    """

    watermark: int | None = None
    idle: bool = False


class MergedCodec:
    """Writes and reads what is held of merged windows: a window's aggregates, or the hours that drift looks back at."""

    def __init__(self, plan: Plan, encoder: Encoder, decoder: Decoder) -> None:
        self._aggregates = plan.aggregates
        self._encode = encoder.encode
        self._decode = decoder.decode

    def dump(self, state: KeyState) -> bytes:
        """Encode a state."""
        written = state.held if isinstance(state.held, dict) else self._aggregates.dump(state.held)
        return self._encode({"due": state.due, "state": written_json(written)})

    def load(self, value: bytes) -> KeyState:
        """Decode a state; raises ConfigurationError where the record is none."""
        record = read_state(self._decode, value)
        written = json.loads(record["state"])
        return KeyState(record["due"], written if isinstance(written, dict) else self._aggregates.load(written))


class MergedWindows:
    """The windows of one definition, whole.

    Each open window is a state of its own, under its kind, start and key: where a partition lags, many are open.

    Args:
        plan: The definition.
        states: What is held of windows, and of keys for drift.
        due_of: Reads when an encoded state is due.
    """

    def __init__(self, plan: Plan, states: PartitionState[KeyState], due_of: Callable[[bytes], int]) -> None:
        self.plan = plan
        self._states = states
        self._timers = Timers()
        self._grace = plan.definition.grace
        self._sizes = [window.size for window in plan.definition.windows if window.kind != "session"]
        self._drifts: list[Drift] = [spec for spec in plan.definition.aggregates if spec.kind == "drift"]
        for key, value in states.encoded():
            self._timers.add(due_of(value), key)

    def merge(self, key: bytes, number: int, start: int, totals: Totals) -> None:
        """Merge a part into its window, which is open."""
        place = b"%d/%d/%s" % (number, start, key)
        state = self._states.get(place)
        due = start + self._sizes[number] + self._grace
        if state is None:
            self._timers.add(due, place)
            self._keep(place, KeyState(due, totals))
        else:
            self._keep(place, KeyState(due, self.plan.aggregates.merged(state.held, totals)))

    def is_over(self, number: int, start: int, watermark: int) -> bool:
        """Whether a window has been told as a whole."""
        return start + self._sizes[number] + self._grace <= watermark

    def close(self, watermark: int, most: int) -> tuple[list[tuple[Told, dict[str, float]]], bool]:
        """Close windows that are over, ``most`` of them.

        Returns:
            The windows, each with the figures of drift by name; and whether none is left.
        """
        closed: list[tuple[Told, dict[str, float]]] = []
        places = self._timers.take(watermark, most)
        for place in places:
            state = self._states.get(place)
            if state is None or state.due > watermark:  # hours that have moved on since
                continue
            kind, start, key = place.split(b"/", 2)
            self._keep(place, None)
            if start != _HOURS:
                number, first = int(kind), int(start)
                told = Told(key, number, first, first + self._sizes[number], state.held)
                closed.append((told, self._moved(told)))
        return closed, len(places) < most

    def _moved(self, told: Told) -> dict[str, float]:
        if not self._drifts:
            return {}
        place = b"%d/%s/%s" % (told.number, _HOURS, told.key)
        known = self._states.get(place)
        hours: dict[str, History] = known.held if known else {}
        found: dict[str, float] = {}
        due = 0
        for spec in self._drifts:
            counts = told.totals[self.plan.aggregates.slot_of[spec.histogram]]
            if counts is not None:
                history = hours.setdefault(spec.name, [])
                index = moved(spec, history, told.start, counts)
                found |= {} if index is None else {spec.name: index}
                remember(spec, history, told.start, counts)
                due = max(due, forgotten_at(spec, history))
        if due and (known is None or known.due != due):
            self._timers.add(due, place)
        if due:
            self._keep(place, KeyState(due, hours))
        return found

    def _keep(self, place: bytes, state: KeyState | None) -> None:
        self._states.put(place, state)
        self._states.stage(place, state)


@dataclass(slots=True, eq=False)
class MergePartition:
    """The partition of the parts.

    Attributes:
        source: Topic and partition number.
        plans: Windows by their definition's hash.
        marks: Where progress is kept.
        progress: How far each partition of the events is.
        watermark: All windows that are over by then have been told whole; None where none has.
        next_offset: Everything below is merged; None until the first record since the assignment.
        changed: There is something to commit.
    """

    source: TopicPartition
    plans: Mapping[str, MergedWindows]
    marks: PartitionState[Any]
    progress: dict[int, Progress]
    watermark: int | None = None
    next_offset: int | None = None
    changed: bool = False

    def take(self, parts: Mapping[str, Any], offset: int) -> tuple[list[tuple[MergedWindows, Told]], int]:
        """Merge a record of parts.

        Returns:
            Parts whose window has been told already; and how many belong to no definition there is.
        """
        late: list[tuple[MergedWindows, Told]] = []
        foreign = 0
        for part in parts["parts"]:
            windows = self.plans.get(part["definition"])
            if windows is None:
                foreign += 1
                continue
            number = windows.plan.names.index(part["metric"])
            totals = windows.plan.aggregates.load(json.loads(part["state"]))
            key, start = part["key"].encode(), part["window_start"]
            if self.watermark is not None and windows.is_over(number, start, self.watermark):
                late.append((windows, Told(key, number, start, part["window_end"], totals)))
            else:
                windows.merge(key, number, start, totals)
        self._told(parts)
        self.next_offset = offset + 1
        self.changed = True
        return late, foreign

    def closed(self, records: MetricRecords, most: int, now_ms: int) -> tuple[list[OutgoingRecord], bool]:
        """Records of windows that are whole; and whether none is left."""
        if self.watermark is None:
            return [], True
        made: list[OutgoingRecord] = []
        done = True
        for windows in self.plans.values():
            closed, all_of_them = windows.close(self.watermark, most)
            done &= all_of_them
            self.changed |= bool(closed)
            for told, drift in closed:
                made += self._records(windows.plan, told, drift, records, now_ms)
        return made, done

    def _records(
        self, plan: Plan, told: Told, drift: Mapping[str, float], records: MetricRecords, now_ms: int
    ) -> Iterable[OutgoingRecord]:
        results = plan.aggregates.results(told.totals)
        figures = {**figures_of(results), **drift}
        yield records.metric(plan, told, figures, results, partition=None, now_ms=now_ms)
        for alert, value in broken(plan.definition.alerts, told.totals[0], figures):
            yield records.alert(alert, value, plan, told, now_ms=now_ms)

    def _told(self, parts: Mapping[str, Any]) -> None:
        partition, watermark = parts["source_partition"], parts["watermark"]
        before = self.progress.get(partition, Progress())
        known = watermark if before.watermark is None else max(before.watermark, watermark or before.watermark)
        after = Progress(known, parts["idle"])
        if after != before:
            self.progress[partition] = after
            self._mark(str(partition).encode(), list(after))
        reached = merged_watermark(self.progress.values())
        if reached is not None and (self.watermark is None or reached > self.watermark):
            self.watermark = reached
            self._mark(MERGED_KEY, reached)

    def _mark(self, key: bytes, value: Any) -> None:
        self.marks.put(key, value)
        self.marks.stage(key, value)


def merged_watermark(progress: Iterable[Progress]) -> int | None:
    """How far all partitions are that somebody has to wait for; where all are idle, the furthest; None: not known."""
    told = list(progress)
    active = [each.watermark for each in told if not each.idle]
    if not active:
        return max((each.watermark for each in told if each.watermark is not None), default=None)
    known = [watermark for watermark in active if watermark is not None]
    return min(known) if len(known) == len(active) else None
