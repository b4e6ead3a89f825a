"""Kinds of windows: where an event's figures go, and which windows of a key are over. Times are event time, milliseconds.

A key's windows of one kind are ``held`` as stretches: a tumbling or hopping window's by the start of a step, a session's
as a list. A window that ends at ``end`` is over once the watermark has reached ``end`` and the grace; ``due`` is such an
instant, and everything of a key that is due before it has been told, or never had an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_processor.aggregates import Add, Aggregates, Totals
    from headgate_processor.definition import Hopping as HoppingSpec
    from headgate_processor.definition import Session
    from headgate_processor.definition import Tumbling as TumblingSpec
    from headgate_processor.definition import Window as Spec

NEVER: Final = 1 << 62

Stretch = tuple[int, int, "Totals"]
"""A window that is over: first instant, instant after it, aggregates."""
Added = tuple[int, bool]
"""What became of an event: when the key has to be looked at for it, ``NEVER`` where it need not be sooner than before;
and whether a window it belongs in is over."""

_IN_TIME: Final[Added] = (NEVER, False)
_MISSED: Final[Added] = (NEVER, True)


class Windows(Protocol):
    """The windows of one kind, of whatever key."""

    def new(self) -> Any:
        """What a key without events holds."""

    def add(self, held: Any, at: int, watermark: int, taken: Sequence[tuple[Add, int, Any]]) -> Added:
        """Add an event to the windows it is in and that are not over at the watermark."""

    def close(self, held: Any, since: int, watermark: int) -> tuple[list[Stretch], int]:
        """Let go of the windows with events that are due from ``since`` up to the watermark.

        Returns:
            The windows, in order, and when the next one is over; ``NEVER`` where nothing is held any more.
        """

    def dump(self, held: Any) -> Any:
        """What is held, as JSON has it."""

    def load(self, dumped: Any) -> Any:
        """What ``dump`` wrote."""


class Tumbling:
    """Windows one after the other."""

    def __init__(self, spec: TumblingSpec, grace: int, aggregates: Aggregates) -> None:
        self._size = spec.size
        self._wait = spec.size + grace
        self._aggregates = aggregates
        self._start = aggregates.start

    def new(self) -> dict[int, Totals]:
        """What a key without events holds: totals by window."""
        return {}

    def add(self, held: dict[int, Totals], at: int, watermark: int, taken: Sequence[tuple[Add, int, Any]]) -> Added:
        """Add an event to its window; see ``Windows``."""
        start = at - at % self._size
        totals = held.get(start)
        added = _IN_TIME
        if totals is None:
            due = start + self._wait
            if due <= watermark:
                return _MISSED
            totals = held[start] = self._start()
            added = (due, False)
        totals[0] += 1
        for add, slot, value in taken:
            add(totals, slot, value)
        return added

    def close(self, held: dict[int, Totals], since: int, watermark: int) -> tuple[list[Stretch], int]:  # noqa: ARG002 - see below
        """Give the windows that are over; each is told once, for it is let go of then."""
        last = watermark - self._wait
        over = sorted(start for start in held if start <= last)
        told = [(start, start + self._size, held.pop(start)) for start in over]
        return told, min(held) + self._wait if held else NEVER

    def dump(self, held: dict[int, Totals]) -> Any:
        """What is held, as JSON has it."""
        return _dumped(held, self._aggregates)

    def load(self, dumped: Any) -> dict[int, Totals]:
        """What ``dump`` wrote."""
        return _loaded(dumped, self._aggregates)


class Hopping:
    """Windows that overlap: an event is counted once, in its step; a window is the steps it spans."""

    def __init__(self, spec: HoppingSpec, grace: int, aggregates: Aggregates) -> None:
        self._size = spec.size
        self._step = spec.step
        self._grace = grace
        self._aggregates = aggregates

    def new(self) -> dict[int, Totals]:
        """What a key without events holds: totals by step."""
        return {}

    def add(self, held: dict[int, Totals], at: int, watermark: int, taken: Sequence[tuple[Add, int, Any]]) -> Added:
        """Add an event to its step; see ``Windows``."""
        start = at - at % self._step
        due = start + self._step + self._grace
        added = _IN_TIME
        if due <= watermark:
            if start + self._size + self._grace <= watermark:
                return _MISSED
            due, added = self._beyond(due, watermark), _MISSED
        totals = held.get(start)
        if totals is None:
            totals = held[start] = self._aggregates.start()
            added = (due, added is _MISSED)
        totals[0] += 1
        for add, slot, value in taken:
            add(totals, slot, value)
        return added

    def close(self, held: dict[int, Totals], since: int, watermark: int) -> tuple[list[Stretch], int]:
        """Give the windows that are over; see ``Windows``."""
        size = self._size
        if len(held) == 1:  # as with most keys: all of it is in each window there is
            return self._close_one(held, since, watermark)
        told = [(end - size, end, self._spanned(held, end)) for end in self._ends(held, since, watermark)]
        last = watermark - self._grace - size
        for start in [start for start in held if start <= last]:
            del held[start]
        return told, self._due(held, watermark)

    def dump(self, held: dict[int, Totals]) -> Any:
        """What is held, as JSON has it."""
        return _dumped(held, self._aggregates)

    def load(self, dumped: Any) -> dict[int, Totals]:
        """What ``dump`` wrote."""
        return _loaded(dumped, self._aggregates)

    def _close_one(self, held: dict[int, Totals], since: int, watermark: int) -> tuple[list[Stretch], int]:
        [(start, totals)] = held.items()
        size, step, grace = self._size, self._step, self._grace
        last = start + size
        end = max(start + step, -(-(since - grace) // step) * step)
        told: list[Stretch] = []
        while end <= last and end + grace <= watermark:
            told.append((end - size, end, totals))
            end += step
        if end > last:
            held.clear()
            return told, NEVER
        return told, end + grace

    def _beyond(self, due: int, watermark: int) -> int:
        """The first step's end behind the watermark."""
        return due + ((watermark - due) // self._step + 1) * self._step

    def _due(self, held: dict[int, Totals], watermark: int) -> int:
        """The first end behind the watermark of a window with events."""
        if not held:
            return NEVER
        due = min(held) + self._step + self._grace
        # Whatever is held has a window to come, and the steps from the first one on are all in it.
        return due if due > watermark else self._beyond(due, watermark)

    def _ends(self, held: dict[int, Totals], since: int, watermark: int) -> list[int]:
        """Ends of windows with events that are due, in order."""
        step, grace = self._step, self._grace
        first, last = -(-(since - grace) // step) * step, watermark - grace
        ends: set[int] = set()
        for start in held:
            ends.update(range(max(start + step, first), min(start + self._size, last) + 1, step))
        return sorted(ends)

    def _spanned(self, held: dict[int, Totals], end: int) -> Totals:
        first = end - self._size
        inside = [totals for start, totals in held.items() if first <= start < end]
        spanned = inside[0]
        for totals in inside[1:]:
            spanned = self._aggregates.merged(spanned, totals)
        return spanned


class Sessions:
    """Windows that end where nothing comes for longer than the gap; events on either side of it are apart."""

    def __init__(self, spec: Session, grace: int, aggregates: Aggregates) -> None:
        self._gap = spec.gap
        self._wait = spec.gap + grace
        self._aggregates = aggregates

    def new(self) -> list[list[Any]]:
        """What a key without events holds: first and last event's time and totals of each session, in order."""
        return []

    def add(self, held: list[list[Any]], at: int, watermark: int, taken: Sequence[tuple[Add, int, Any]]) -> Added:
        """Add an event to its session, which may join two; see ``Windows``."""
        near = [session for session in held if session[0] - self._gap <= at <= session[1] + self._gap]
        if not near:
            if at + self._wait <= watermark:
                return _MISSED
            near = [[at, at, self._aggregates.start()]]
            held += near
            held.sort(key=lambda session: session[0])
            added = (at + self._wait, False)
        else:
            added = _IN_TIME
        session = near[0]
        for other in near[1:]:
            session[1], session[2] = other[1], self._aggregates.merged(session[2], other[2])
            held.remove(other)
        session[0], session[1] = min(session[0], at), max(session[1], at)
        session[2][0] += 1
        for add, slot, value in taken:
            add(session[2], slot, value)
        return added

    def close(self, held: list[list[Any]], since: int, watermark: int) -> tuple[list[Stretch], int]:  # noqa: ARG002 - see below
        """Give the sessions that are over; each is told once, for it is let go of then."""
        last = watermark - self._wait
        told = [(session[0], session[1] + self._gap, session[2]) for session in held if session[1] <= last]
        held[:] = [session for session in held if session[1] > last]
        return told, min((session[1] for session in held), default=NEVER - self._wait) + self._wait

    def dump(self, held: list[list[Any]]) -> Any:
        """What is held, as JSON has it."""
        return [[first, last, self._aggregates.dump(totals)] for first, last, totals in held]

    def load(self, dumped: Any) -> list[list[Any]]:
        """What ``dump`` wrote."""
        return [[first, last, self._aggregates.load(totals)] for first, last, totals in dumped]


def windows_of(spec: Spec, grace: int, aggregates: Aggregates) -> Windows:
    """The windows a definition asks for."""
    match spec.kind:
        case "session":
            return Sessions(spec, grace, aggregates)
        case "hopping":
            return Hopping(spec, grace, aggregates)
    return Tumbling(spec, grace, aggregates)


def _dumped(held: dict[int, Totals], aggregates: Aggregates) -> Any:
    dump = aggregates.dump
    return [[start, dump(totals)] for start, totals in held.items()]


def _loaded(dumped: Any, aggregates: Aggregates) -> dict[int, Totals]:
    load = aggregates.load
    return {start: load(totals) for start, totals in dumped}
