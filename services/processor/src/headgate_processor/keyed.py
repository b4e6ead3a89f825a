"""The windows of one definition over one partition: events in, closed windows out, and the state between, by key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson
from headgate_runtime.errors import ConfigurationError, UndecodableError

from headgate_processor.aggregates import Aggregates
from headgate_processor.datum import bytes_bytes, long_bytes
from headgate_processor.timers import Timers
from headgate_processor.windows import NEVER, windows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headgate_runtime.avro import Decoder, Encoder
    from headgate_runtime.state import PartitionState

    from headgate_processor.aggregates import Row, Totals
    from headgate_processor.definition import Definition
    from headgate_processor.windows import Windows

    Tell: TypeAlias = Callable[[bytes, int, int, int, Totals], None]

Event = tuple[int, "Row", int, int]
"""Place in a run, fields, event time and the watermark before it."""

_TOUCHED_AT_ONCE: Final = 10_000


@dataclass(slots=True)
class KeyState:
    """What is held of a key.

    Attributes:
        due: When it has to be looked at; everything due before is told.
        held: Of each kind of window, in the definition's order; where windows are merged, what is kept of the one.
    """

    due: int
    held: Any


class Plan:
    """A definition made ready for events that are rows of the fields at ``at``.

    Attributes:
        definition: The definition.
        hash: Stands for it in records.
        names: Of its kinds of windows, as records have them.
        aggregates: Its aggregates.
        windows: Its kinds of windows.
    """

    def __init__(self, definition: Definition, at: Mapping[str, int]) -> None:
        self.definition = definition
        self.hash = definition.hash
        self.names = [f"{definition.name}_{window.name}" for window in definition.windows]
        self.aggregates = Aggregates(definition, at)
        self.windows: list[Windows] = [
            windows_of(spec, definition.grace, self.aggregates) for spec in definition.windows
        ]
        self.where = None if definition.where is None else (at[definition.where.field], definition.where.equals)
        self.key_of = _key_getter([at[path] for path in definition.key])

    @property
    def namespace(self) -> str:
        """Where the state of keys is kept; a definition that changes begins anew."""
        return f"{self.definition.name}@{self.hash}"

    def last_end(self, watermark: int) -> int:
        """The last instant up to a watermark at which one of the stepped windows could be over."""
        grace = self.definition.grace
        steps = [spec.step for spec in self.definition.windows if spec.kind != "session"]
        return max((watermark - grace) // step * step + grace for step in steps)


class StateCodec:
    """Writes and reads a key's state as a ``processor_state`` record.

    Args:
        plan: Whose state it is.
        encoder: Encodes the record.
        decoder: Decodes it.
    """

    def __init__(self, plan: Plan, encoder: Encoder, decoder: Decoder) -> None:
        self._windows = plan.windows
        self._prefix = encoder.prefix
        self._decode = decoder.decode

    def dump(self, state: KeyState) -> bytes:
        """Encode a state."""
        held = [windows.dump(held) for windows, held in zip(self._windows, state.held, strict=True)]
        return b"".join((self._prefix, long_bytes(state.due), bytes_bytes(written_json(held))))

    def load(self, value: bytes) -> KeyState:
        """Decode a state.

        Raises:
            ConfigurationError: The record is none; the text says what to do.
        """
        record = read_state(self._decode, value)
        held = json.loads(record["state"])  # not orjson: a sum may have more than 64 bits
        return KeyState(record["due"], [windows.load(each) for windows, each in zip(self._windows, held, strict=True)])


def written_json(value: Any) -> bytes:
    """A value as JSON; whole numbers of any size stay exact."""
    try:
        return orjson.dumps(value)
    except TypeError:  # a number of more than 64 bits
        return json.dumps(value, separators=(",", ":")).encode()


def read_state(decode: Callable[[bytes | None], dict[str, Any]], value: bytes) -> dict[str, Any]:
    """Decode a ``processor_state`` record.

    Raises:
        ConfigurationError: It is none; the text says what to do.
    """
    try:
        return decode(value)
    except UndecodableError as error:
        raise ConfigurationError(
            f"The processor's state cannot be read ({error}). Register the schema of its topic again, or delete the "
            f"topic's records and the group's offsets and accept that open windows begin anew."
        ) from error


class KeyedWindows:
    """One definition's windows over one partition.

    Events are looked at in their order, with the watermark as it was before each, so that what is late does not depend
    on how events are batched. Windows may be closed later than they are over: a key's are, before its next event.

    Args:
        plan: The definition.
        states: What is held of keys, in the partition's state.
        due_of: Reads when an encoded state is due.
        tell: Gets each closed window: key, number of its kind, start, end, and aggregates that are not its to keep.
    """

    def __init__(
        self, plan: Plan, states: PartitionState[KeyState], due_of: Callable[[bytes], int], tell: Tell
    ) -> None:
        self.plan = plan
        self._states = states
        self._tell = tell
        self._timers = Timers()
        self._touched: dict[bytes, KeyState] = {}
        for key, value in states.encoded():
            self._timers.add(due_of(value), key)

    @property
    def next_due(self) -> int | None:
        """When a key has to be looked at; None where nothing is held."""
        return self._timers.next

    def take(self, events: Sequence[Event]) -> list[int]:
        """Add events; returns the places of those for which a window they belong in is over."""
        plan, touched = self.plan, self._touched
        key_of, slots, adds = plan.key_of, plan.aggregates.slots, [windows.add for windows in plan.windows]
        late: list[int] = []
        for place, row, at, watermark in events:
            if plan.where is not None and row[plan.where[0]] != plan.where[1]:
                continue
            key = key_of(row)
            state = touched.get(key) or self._touch(key)
            if state.due <= watermark:
                self._close(key, state, watermark)
            taken = [(add, slot, found) for take, add, slot in slots if (found := take(row)) is not None]
            soonest, missed = state.due, False
            for add, held in zip(adds, state.held, strict=True):
                due, over = add(held, at, watermark, taken)
                soonest = min(soonest, due)
                if over:
                    missed = True
            if soonest < state.due:
                state.due = soonest
                self._timers.add(soonest, key)
            if missed:
                late.append(place)
        return late

    def close(self, watermark: int, most: int) -> bool:
        """Close windows of keys that are due, ``most`` keys at a time; False where some are left."""
        keys = self._timers.take(watermark, most)
        touched = self._touched
        for key in keys:
            state = touched.get(key) or self._touch(key)
            if state.due <= watermark:
                self._close(key, state, watermark)
            if len(touched) >= _TOUCHED_AT_ONCE:
                self.flush()
        return len(keys) < most

    def flush(self) -> None:
        """Hand what has changed to the partition's state, for the next commit."""
        put, stage = self._states.put, self._states.stage
        for key, state in self._touched.items():
            kept = state if any(state.held) else None
            put(key, kept)
            stage(key, kept)
        self._touched.clear()

    def _touch(self, key: bytes) -> KeyState:
        state = self._states.get(key)
        if state is None:
            state = KeyState(NEVER, [windows.new() for windows in self.plan.windows])
        self._touched[key] = state
        return state

    def _close(self, key: bytes, state: KeyState, watermark: int) -> None:
        soonest, since = NEVER, state.due
        for number, (windows, held) in enumerate(zip(self.plan.windows, state.held, strict=True)):
            if held:
                told, due = windows.close(held, since, watermark)
                for start, end, totals in told:
                    self._tell(key, number, start, end, totals)
                soonest = min(soonest, due)
        state.due = soonest
        if soonest < NEVER:
            self._timers.add(soonest, key)


def _key_getter(places: list[int]) -> Callable[[Row], bytes]:
    """How the key of an event is written: the values as text, and a stroke between several."""
    if len(places) == 1:
        [place] = places

        def one(row: Row) -> bytes:
            value = row[place]
            return value.encode() if value.__class__ is str else b"" if value is None else str(value).encode()

        return one

    def several(row: Row) -> bytes:
        return "/".join("" if row[place] is None else str(row[place]) for place in places).encode()

    return several
