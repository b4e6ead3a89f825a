"""Kinds of windows: where an event's figures go, and which windows of a key are over. Times are event time, milliseconds.

A key's windows of one kind are ``held`` as stretches: a tumbling or hopping window's by the start of a step, a session's
as a list. A window that ends at ``end`` is over once the watermark has reached ``end`` and the grace; ``due`` is such an
instant, and everything of a key that is due before it has been told, or never had an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headgate_processor.aggregates import Add, Aggregates, Totals
    from headgate_processor.definition import Hopping, Session, Tumbling
    from headgate_processor.definition import Window as Spec

Taken = "Sequence[tuple[Add, int, Any]]"
NEVER: Final = 1 << 62


class Closed(NamedTuple):
    """A window that is over.

    Attributes:
        start: First instant.
        end: Instant after it.
        totals: Its aggregates.
    """

    start: int
    end: int
    totals: Totals


class Added(NamedTuple):
    """What became of an event.

    Attributes:
        due: When the key has to be looked at for it, ``NEVER`` where it need not be sooner than before.
        late: A window it belongs in is over.
    """

    due: int
    late: bool


class Windows(Protocol):
    """The windows of one kind, of whatever key."""

    def new(self) -> Any:
        """What a key without events holds."""

    def add(self, held: Any, at: int, watermark: int, taken: Sequence[tuple[Add, int, Any]]) -> Added:
        """Add an event to the windows it is in and that are not over at the watermark."""

    def close(self, held: Any, since: int, watermark: int) -> Iterator[Closed]:
        """Give, and let go of, the windows with events that are due from ``since`` up to the watermark, in order."""

    def due(self, held: Any, watermark: int) -> int:
        """When the next window is over, beyond the watermark; ``NEVER`` where nothing is held."""

    def dump(self, held: Any) -> Any:
        """What is held, as JSON has it."""

    def load(self, dumped: Any) -> Any:
        """What ``dump`` wrote."""


class Stepped:
    """Tumbling and hopping windows: an event is counted once, in its step; a window is the steps it spans."""

    def __init__(self, spec: Tumbling | Hopping, grace: int, aggregates: Aggregates) -> None:
        self._size = spec.size
        self._step = spec.step
        self._grace = grace
        self._single = spec.size == spec.step
        self._aggregates = aggregates

    def new(self) -> dict[int, Totals]:
        """What a key without events holds."""
        return {}

    def add(self, held: dict[int, Totals], at: int, watermark: int, taken: Sequence[tuple[Add, int, Any]]) -> Added:
        """Add an event to its step; see ``Windows``."""
        start = at - at % self._step
        due, late = start + self._step + self._grace, False
        if due <= watermark:
            late = True
            if start + self._size + self._grace <= watermark:
                return Added(NEVER, late)
            due = self._beyond(due, watermark)
        totals = held.get(start)
        if totals is None:
            totals = held[start] = self._aggregates.start()
        else:
            due = NEVER
        totals[0] += 1
        for add, slot, value in taken:
            add(totals, slot, value)
        return Added(due, late)

    def close(self, held: dict[int, Totals], since: int, watermark: int) -> Iterator[Closed]:
        """Give the windows that are over; see ``Windows``."""
        if self._single:
            for start in sorted(start for start in held if start + self._size + self._grace <= watermark):
                yield Closed(start, start + self._size, held.pop(start))
            return
        for end in self._ends(held, since, watermark):
            yield Closed(end - self._size, end, self._spanned(held, end))
        for start in [start for start in held if start + self._size + self._grace <= watermark]:
            del held[start]

    def due(self, held: dict[int, Totals], watermark: int) -> int:
        """When the next window is over; see ``Windows``."""
        if not held:
            return NEVER
        first = min(held) + self._step + self._grace
        return first if first > watermark else self._next(held, watermark)

    def dump(self, held: dict[int, Totals]) -> Any:
        """What is held, as JSON has it."""
        dump = self._aggregates.dump
        return [[start, dump(totals)] for start, totals in held.items()]

    def load(self, dumped: Any) -> dict[int, Totals]:
        """What ``dump`` wrote."""
        load = self._aggregates.load
        return {start: load(totals) for start, totals in dumped}

    def _beyond(self, due: int, watermark: int) -> int:
        """The first step's end behind the watermark."""
        return due + ((watermark - due) // self._step + 1) * self._step

    def _next(self, held: dict[int, Totals], watermark: int) -> int:
        """The first end behind the watermark of a window with events."""
        least = NEVER
        for start in held:
            due = start + self._step + self._grace
            if due <= watermark:
                due = self._beyond(due, watermark)
            if due <= start + self._size + self._grace:
                least = min(least, due)
        return least

    def _ends(self, held: dict[int, Totals], since: int, watermark: int) -> list[int]:
        """Ends of windows with events that are due, in order."""
        ends: set[int] = set()
        for start in held:
            first = max(start + self._step, -(-(since - self._grace) // self._step) * self._step)
            last = min(start + self._size, watermark - self._grace)
            ends.update(range(first, last + 1, self._step))
        return sorted(ends)

    def _spanned(self, held: dict[int, Totals], end: int) -> Totals:
        totals = self._aggregates.start()
        for start in range(end - self._size, end, self._step):
            if start in held:
                totals = self._aggregates.merged(totals, held[start])
        return totals


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
                return Added(NEVER, late=True)
            near = [[at, at, self._aggregates.start()]]
            held += near
            held.sort(key=lambda session: session[0])
            due = at + self._wait
        else:
            due = NEVER
        session = near[0]
        for other in near[1:]:
            session[1], session[2] = other[1], self._aggregates.merged(session[2], other[2])
            held.remove(other)
        session[0], session[1] = min(session[0], at), max(session[1], at)
        session[2][0] += 1
        for add, slot, value in taken:
            add(session[2], slot, value)
        return Added(due, late=False)

    def close(self, held: list[list[Any]], since: int, watermark: int) -> Iterator[Closed]:  # noqa: ARG002 - see below
        """Give the sessions that are over; each is told once, for it is let go of then."""
        over = [session for session in held if session[1] + self._wait <= watermark]
        for session in over:
            held.remove(session)
            yield Closed(session[0], session[1] + self._gap, session[2])

    def due(self, held: list[list[Any]], watermark: int) -> int:  # noqa: ARG002 - a session that is over is not held
        """When the next session is over; see ``Windows``."""
        return min((session[1] + self._wait for session in held), default=NEVER)

    def dump(self, held: list[list[Any]]) -> Any:
        """What is held, as JSON has it."""
        return [[first, last, self._aggregates.dump(totals)] for first, last, totals in held]

    def load(self, dumped: Any) -> list[list[Any]]:
        """What ``dump`` wrote."""
        return [[first, last, self._aggregates.load(totals)] for first, last, totals in dumped]


def windows_of(spec: Spec, grace: int, aggregates: Aggregates) -> Windows:
    """The windows a definition asks for."""
    return Sessions(spec, grace, aggregates) if spec.kind == "session" else Stepped(spec, grace, aggregates)
