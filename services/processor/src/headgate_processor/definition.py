"""What is counted, as data: keys, windows, aggregates and alerts, free of any engine."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from headgate_schemas.parts import FieldPath
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)

_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([1-9]\d*)(ms|s|m|h|d)")
_HASH_CHARS: Final = 16


def parse_duration(value: object) -> int:
    """Milliseconds of a duration such as ``10m``.

    Raises:
        ValueError: It is none.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not a duration; write a whole number and ms, s, m, h or d, such as 10m")
    return int(match[1]) * _UNITS_MS[match[2]]


Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(lambda value: f"{value}ms")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Where(_Part):
    """Which events count: those whose field equals the value."""

    field: FieldPath
    equals: StrictStr | StrictInt | StrictBool


class Tumbling(_Part):
    """Windows one after the other, aligned to the epoch."""

    name: Name
    kind: Literal["tumbling"]
    size: Duration

    @property
    def step(self) -> int:
        """Milliseconds between two windows' starts."""
        return self.size


class Hopping(_Part):
    """Windows that overlap: one of ``size`` begins each ``step``, aligned to the epoch."""

    name: Name
    kind: Literal["hopping"]
    size: Duration
    step: Duration

    @model_validator(mode="after")
    def _whole_steps(self) -> Self:
        if self.size % self.step or self.size == self.step:
            raise ValueError("size must be a multiple of step, and more than one; with equal ones write kind: tumbling")
        return self


class Session(_Part):
    """Windows of a key that end where nothing of the key comes for longer than the gap."""

    name: Name
    kind: Literal["session"]
    gap: Duration


Window = Annotated[Tumbling | Hopping | Session, Field(discriminator="kind")]


class Count(_Part):
    """Events for which a condition holds."""

    name: Name
    kind: Literal["count"]
    where: Where


class Share(_Part):
    """Events for which a condition holds, as a share of the window's."""

    name: Name
    kind: Literal["share"]
    where: Where


class Figure(_Part):
    """Exact sum, to four decimals, or the least or largest of a number; of each value of a field apart, where it is split."""

    name: Name
    kind: Literal["sum", "min", "max"]
    of: FieldPath
    split_by: FieldPath | None = None


class Distinct(_Part):
    """Different values of a field, exactly, up to a bound."""

    name: Name
    kind: Literal["distinct"]
    of: FieldPath
    at_most: Annotated[int, Field(ge=1, le=1_024)]


class Percentiles(_Part):
    """Percentiles of a number, or of how much one is above another, each within 1 % of its value."""

    name: Name
    kind: Literal["percentiles"]
    of: FieldPath
    minus: FieldPath | None = None
    at: Annotated[tuple[Annotated[float, Field(gt=0, lt=100)], ...], Field(min_length=1)]


class Histogram(_Part):
    """Events by the range a number is in: below the first bound, from there to the second, and so on."""

    name: Name
    kind: Literal["histogram"]
    of: FieldPath
    bounds: Annotated[tuple[float, ...], Field(min_length=1)]

    @field_validator("bounds")
    @classmethod
    def _ascending(cls, bounds: tuple[float, ...]) -> tuple[float, ...]:
        if any(low >= high for low, high in pairwise(bounds)):
            raise ValueError("must ascend")
        return bounds


class Drift(_Part):
    """How far a histogram has moved from what it was: the population stability index against the windows before.

    Attributes:
        histogram: Name of the definition's histogram.
        against: Windows that began within so long before this one are compared with.
        at_least: Events there have to be on either side; else there is no figure.
    """

    name: Name
    kind: Literal["drift"]
    histogram: Name
    against: Duration
    at_least: Annotated[int, Field(ge=1)]


Aggregate = Annotated[Count | Share | Figure | Distinct | Percentiles | Histogram | Drift, Field(discriminator="kind")]


class Alert(_Part):
    """A bound on an aggregate; a window beyond it is told of.

    Attributes:
        aggregate: As the metric's record names it: of percentiles with ``_p`` and the percentile.
        at_least: Events the window must have.
    """

    name: Name
    description: Annotated[str, Field(min_length=1)]
    aggregate: Annotated[str, Field(min_length=1)]
    above: float | None = None
    below: float | None = None
    at_least: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("give above or below, one of them")
        return self


class Definition(_Part):
    """Windows over the events of one topic that have the key's fields in common.

    Attributes:
        source: Topic of the events. Of an event that may be told again, its first record counts.
        output: Topic of what the windows come to.
        key: Paths of the fields.
        grace: How far behind the watermark a window stays open.
        where: Only these events count.
    """

    name: Name
    description: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    output: Annotated[str, Field(min_length=1)]
    key: Annotated[tuple[FieldPath, ...], Field(min_length=1)]
    grace: Duration
    where: Where | None = None
    windows: Annotated[tuple[Window, ...], Field(min_length=1)]
    aggregates: tuple[Aggregate, ...]
    alerts: tuple[Alert, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for what, names in (
            ("windows", [window.name for window in self.windows]),
            ("aggregates", [aggregate.name for aggregate in self.aggregates]),
            ("alerts", [alert.name for alert in self.alerts]),
        ):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{what}: names are used twice: {', '.join(twice)}")
        histograms = {aggregate.name for aggregate in self.aggregates if aggregate.kind == "histogram"}
        for aggregate in self.aggregates:
            if aggregate.kind == "drift" and aggregate.histogram not in histograms:
                raise ValueError(f"aggregates.{aggregate.name}: there is no histogram {aggregate.histogram!r}")
        known = {figure for aggregate in self.aggregates for figure in _figures(aggregate)}
        for alert in self.alerts:
            if alert.aggregate not in known and alert.aggregate.partition(".")[0] not in known:
                raise ValueError(
                    f"alerts.{alert.name}: there is no figure {alert.aggregate!r}; there are {', '.join(sorted(known))}"
                )
        return self

    @property
    def hash(self) -> str:
        """Stands for all that figures depend on; what people read is left out."""
        counted = self.model_dump(mode="json", exclude={"description", "alerts"})
        return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:_HASH_CHARS]

    def field_paths(self) -> dict[str, str]:
        """Every path the definition names, with where it first does."""
        found: dict[str, str] = {}
        for path in self.key:
            found.setdefault(path, "key")
        if self.where is not None:
            found.setdefault(self.where.field, "where")
        for aggregate in self.aggregates:
            for name in ("of", "minus", "split_by"):
                named: str | None = getattr(aggregate, name, None)
                if named is not None:
                    found.setdefault(named, f"aggregates.{aggregate.name}.{name}")
            if where := getattr(aggregate, "where", None):
                found.setdefault(where.field, f"aggregates.{aggregate.name}.where")
        return found

    def number_paths(self) -> set[str]:
        """Paths of fields that have to be numbers."""
        numeric = {"sum", "min", "max", "percentiles", "histogram"}
        return {
            path
            for aggregate in self.aggregates
            if aggregate.kind in numeric
            for path in (getattr(aggregate, "of", None), getattr(aggregate, "minus", None))
            if path
        }


def _figures(aggregate: Aggregate) -> list[str]:
    """Names of what an aggregate comes to; those of a split one begin so."""
    match aggregate.kind:
        case "percentiles":
            return [f"{aggregate.name}_p{percentile:g}" for percentile in aggregate.at]
        case "histogram":
            return [
                *(f"{aggregate.name}_below_{bound:g}" for bound in aggregate.bounds),
                f"{aggregate.name}_from_{aggregate.bounds[-1]:g}",
            ]
    return [aggregate.name]
