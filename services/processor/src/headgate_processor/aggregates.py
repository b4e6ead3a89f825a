"""What is counted of events: each aggregate takes a value out of an event, adds it up, merges and tells what it came to.

Sums are whole numbers of ten-thousandths, ISO 4217's finest minor unit, so that they are exact in any order.
"""

from __future__ import annotations

import base64
import zlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from ddsketch import DDSketch

    from headgate_processor.definition import (
        Aggregate,
        Count,
        Definition,
        Distinct,
        Figure,
        Histogram,
        Percentiles,
        Share,
    )

Row = Sequence[Any]
Slot = dict[str, Any]
Totals = list[Any]
"""A window's aggregates: the number of events, then each aggregate's own in the definition's order, None where nothing
was added yet; JSON once dumped."""

Add = Callable[[Totals, int, Any], None]

UNITS: Final = 10_000
RELATIVE_ACCURACY: Final = 0.01
SKETCH_KIND: Final = "ddsketch.v1"
# Below this, what binary fractions are off by is far less than what tells a number of four decimals from a finer one.
_EXACT_BELOW: Final = 2.0**45
_NEAR: Final = 0.02


@dataclass(slots=True)
class Results:
    """What a window came to, by names.

    Attributes:
        counts: Of events and distinct values.
        sums: In ten-thousandths.
        values: Everything else.
        sketches: The sketches percentiles were read from, as their library writes them.
        capped: Distinct counts that reached their bound.
    """

    counts: dict[str, int] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    sketches: dict[str, bytes] = field(default_factory=dict)
    capped: list[str] = field(default_factory=list)


class Kind(Protocol):
    """One aggregate of a definition; what it is handed of totals is never None."""

    def take(self, row: Row) -> Any:
        """What an event adds; None where that is nothing."""

    def add(self, totals: Totals, slot: int, taken: Any) -> None:
        """Add what was taken to the totals' slot."""

    def merge(self, one: Any, other: Any) -> Any:
        """What two stretches of events come to together; the first may be used up by it."""

    def dump(self, total: Any) -> Any:
        """The total as JSON has it."""

    def load(self, dumped: Any) -> Any:
        """What ``dump`` wrote."""

    def result(self, total: Any, events: int, results: Results) -> None:
        """Say what it came to; None where nothing was added."""


def units(value: float) -> int:
    """A number in ten-thousandths, as its decimal notation says it; what is finer is rounded, half to even."""
    scaled = value * UNITS
    if -_EXACT_BELOW < scaled < _EXACT_BELOW:
        whole = round(scaled)
        if -_NEAR < scaled - whole < _NEAR:
            return whole
    return int(Decimal(str(value)).scaleb(4).to_integral_value(ROUND_HALF_EVEN))


class _Plain:
    """An aggregate whose totals are JSON as they are."""

    def dump(self, total: Any) -> Any:
        return total

    def load(self, dumped: Any) -> Any:
        return dumped


class _CountKind(_Plain):
    """Events for which a condition holds; also as a share of all."""

    def __init__(self, spec: Count | Share, at: Mapping[str, int]) -> None:
        self._name = spec.name
        self._at = at[spec.where.field]
        self._equals = spec.where.equals
        self._share = spec.kind == "share"

    def take(self, row: Row) -> int | None:
        return 1 if row[self._at] == self._equals else None

    @staticmethod
    def add(totals: Totals, slot: int, taken: int) -> None:
        totals[slot] = (totals[slot] or 0) + taken

    def merge(self, one: int, other: int) -> int:
        return one + other

    def result(self, total: int | None, events: int, results: Results) -> None:
        if self._share:
            results.values[self._name] = (total or 0) / events
        else:
            results.counts[self._name] = total or 0


class _FigureKind(_Plain):
    """Sum, least or largest of a number, of each value of another field apart."""

    def __init__(self, spec: Figure, at: Mapping[str, int]) -> None:
        self._name = spec.name
        self._at = at[spec.of]
        self._split_at = None if spec.split_by is None else at[spec.split_by]
        self._sum = spec.kind == "sum"
        self._pick = _PICKS[spec.kind]
        self.add = _ADDS[spec.kind]

    def take(self, row: Row) -> tuple[str, float] | None:
        value = row[self._at]
        if value is None:
            return None
        split = "" if self._split_at is None else row[self._split_at]
        return "" if split is None else str(split), units(value) if self._sum else value

    def merge(self, one: Slot, other: Slot) -> Slot:
        pick = self._pick
        return one | {split: pick((one[split], value)) if split in one else value for split, value in other.items()}

    def result(self, total: Slot | None, events: int, results: Results) -> None:  # noqa: ARG002 - as all kinds
        if total is None:
            return
        target: dict[str, Any] = results.sums if self._sum else results.values
        for split, value in total.items():
            target[f"{self._name}.{split}" if split else self._name] = value


def _add(totals: Totals, slot: int, taken: tuple[str, int]) -> None:
    split, value = taken
    sums = totals[slot]
    if sums is None:
        totals[slot] = {split: value}
    else:
        sums[split] = sums.get(split, 0) + value


def _lower(totals: Totals, slot: int, taken: tuple[str, float]) -> None:
    split, value = taken
    known = totals[slot]
    if known is None:
        totals[slot] = {split: value}
    elif split not in known or value < known[split]:
        known[split] = value


def _raise(totals: Totals, slot: int, taken: tuple[str, float]) -> None:
    split, value = taken
    known = totals[slot]
    if known is None:
        totals[slot] = {split: value}
    elif split not in known or value > known[split]:
        known[split] = value


_PICKS: Final[Mapping[str, Callable[..., Any]]] = {"sum": sum, "min": min, "max": max}
_ADDS: Final[Mapping[str, Add]] = {"sum": _add, "min": _lower, "max": _raise}


class _DistinctKind(_Plain):
    """Different values, kept one by one up to a bound."""

    def __init__(self, spec: Distinct, at: Mapping[str, int]) -> None:
        self._name = spec.name
        self._at = at[spec.of]
        self._at_most = spec.at_most

    def take(self, row: Row) -> Any:
        return row[self._at]

    def add(self, totals: Totals, slot: int, taken: Any) -> None:
        known = totals[slot]
        if known is None:
            totals[slot] = [taken]
        elif taken not in known and len(known) < self._at_most:
            known.append(taken)

    def merge(self, one: list[Any], other: list[Any]) -> list[Any]:
        return [*one, *(value for value in other if value not in one)][: self._at_most]

    def result(self, total: list[Any] | None, events: int, results: Results) -> None:  # noqa: ARG002 - as all kinds
        different = results.counts[self._name] = len(total or ())
        if different >= self._at_most:
            results.capped.append(self._name)


class _PercentilesKind:
    """Percentiles out of a sketch: each within 1 % of its value, whatever was merged in whatever order."""

    def __init__(self, spec: Percentiles, at: Mapping[str, int]) -> None:
        self._name = spec.name
        self._at = at[spec.of]
        self._minus_at = None if spec.minus is None else at[spec.minus]
        self._percentiles = spec.at

    def take(self, row: Row) -> float | None:
        value: float | None = row[self._at]
        if value is None or self._minus_at is None:
            return value
        minus = row[self._minus_at]
        return None if minus is None else value - minus

    @staticmethod
    def add(totals: Totals, slot: int, taken: float) -> None:
        if totals[slot] is None:
            totals[slot] = _sketch()
        totals[slot].add(taken)

    def merge(self, one: DDSketch, other: DDSketch) -> DDSketch:
        both = _sketch()
        both.merge(one)
        both.merge(other)
        return both

    def dump(self, total: DDSketch) -> str:
        return base64.b64encode(zlib.compress(_written(total), 1)).decode()

    def load(self, dumped: str) -> DDSketch:
        from ddsketch.pb.ddsketch_pb2 import DDSketch as Message  # noqa: PLC0415 - as above
        from ddsketch.pb.proto import DDSketchProto  # noqa: PLC0415

        sketch: DDSketch = DDSketchProto.from_proto(Message.FromString(zlib.decompress(base64.b64decode(dumped))))  # type: ignore[no-untyped-call]
        return sketch

    def result(self, total: DDSketch | None, events: int, results: Results) -> None:  # noqa: ARG002 - as all kinds
        if total is None:
            return
        for percentile in self._percentiles:
            value = total.get_quantile_value(percentile / 100)
            if value is not None:
                results.values[f"{self._name}_p{percentile:g}"] = value
        results.sketches[self._name] = _written(total)


def _sketch() -> DDSketch:
    from ddsketch import DDSketch  # noqa: PLC0415 - only where there are percentiles

    return DDSketch(RELATIVE_ACCURACY)


def _written(sketch: DDSketch) -> bytes:
    from ddsketch.pb.proto import DDSketchProto  # noqa: PLC0415 - only where there are percentiles

    written: bytes = DDSketchProto.to_proto(sketch).SerializeToString()  # type: ignore[no-untyped-call]
    return written


class _HistogramKind(_Plain):
    """Events by range."""

    def __init__(self, spec: Histogram, at: Mapping[str, int]) -> None:
        self._at = at[spec.of]
        self._bounds = spec.bounds
        self._names = [f"{spec.name}_below_{bound:g}" for bound in spec.bounds] + [
            f"{spec.name}_from_{spec.bounds[-1]:g}"
        ]

    def take(self, row: Row) -> int | None:
        value = row[self._at]
        return None if value is None else bisect_right(self._bounds, value)

    def add(self, totals: Totals, slot: int, taken: int) -> None:
        if totals[slot] is None:
            totals[slot] = [0] * len(self._names)
        totals[slot][taken] += 1

    def merge(self, one: list[int], other: list[int]) -> list[int]:
        return [left + right for left, right in zip(one, other, strict=True)]

    def result(self, total: list[int] | None, events: int, results: Results) -> None:  # noqa: ARG002 - as all kinds
        if total is not None:
            results.values.update(zip(self._names, map(float, total), strict=True))


class Aggregates:
    """All aggregates of a definition, on events that are rows of the fields at ``at``.

    Drift is none of them: it is worked out of a histogram where windows are whole.

    Attributes:
        slots: Of each aggregate what takes its part out of an event, what adds that to totals, and where.
        slot_of: Place of an aggregate in totals, by name.
    """

    def __init__(self, definition: Definition, at: Mapping[str, int]) -> None:
        specs = [spec for spec in definition.aggregates if spec.kind != "drift"]
        self._kinds = [_kind_of(spec, at) for spec in specs]
        self.slots: Sequence[tuple[Callable[[Row], Any], Add, int]] = [
            (kind.take, kind.add, slot) for slot, kind in enumerate(self._kinds, 1)
        ]
        self.slot_of: Mapping[str, int] = {spec.name: slot for slot, spec in enumerate(specs, 1)}

        self._nothing: Totals = [0, *([None] * len(self._kinds))]

    def start(self) -> Totals:
        """The totals of no event."""
        return self._nothing.copy()

    def merged(self, one: Totals, other: Totals) -> Totals:
        """What two stretches of events come to together; neither is changed."""
        merged = [one[0] + other[0]]
        for kind, left, right in zip(self._kinds, one[1:], other[1:], strict=True):
            merged.append(right if left is None else left if right is None else kind.merge(left, right))
        return merged

    def dump(self, totals: Totals) -> list[Any]:
        """Totals as JSON has them."""
        own = zip(self._kinds, totals[1:], strict=True)
        return [totals[0], *(None if total is None else kind.dump(total) for kind, total in own)]

    def load(self, dumped: list[Any]) -> Totals:
        """What ``dump`` wrote."""
        own = zip(self._kinds, dumped[1:], strict=True)
        return [dumped[0], *(None if each is None else kind.load(each) for kind, each in own)]

    def results(self, totals: Totals) -> Results:
        """What the totals say, by names."""
        results, events = Results(), totals[0]
        for kind, total in zip(self._kinds, totals[1:], strict=True):
            kind.result(total, events, results)
        return results


def _kind_of(spec: Aggregate, at: Mapping[str, int]) -> Kind:
    match spec.kind:
        case "count" | "share":
            return _CountKind(spec, at)
        case "sum" | "min" | "max":
            return _FigureKind(spec, at)
        case "distinct":
            return _DistinctKind(spec, at)
        case "percentiles":
            return _PercentilesKind(spec, at)
        case "histogram":
            return _HistogramKind(spec, at)
    raise ValueError(f"{spec.kind} is worked out of whole windows")
