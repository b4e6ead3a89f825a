"""Limits: the most an agent or a tenant may use in an hour or a day."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

ScopeKind = Literal["agent", "tenant"]
Length = Literal["hour", "day"]
LENGTHS: tuple[Length, ...] = ("hour", "day")
EACH = "*"


class Scope(NamedTuple):
    """Whose budget it is."""

    kind: ScopeKind
    name: str


class Limit(BaseModel):
    """The most a scope may use in one window; an unset measure is not limited.

    Attributes:
        scope: ``agent`` or ``tenant``.
        name: Its name; ``*`` is each one, by itself, that has no limit of its own for this window.
        window: ``hour`` or ``day``, UTC.
        tokens: Most tokens, input and output together.
        cost_microdollars: Most cost, in millionths of a US dollar.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: ScopeKind
    name: str = Field(default=EACH, min_length=1, max_length=256)
    window: Length
    tokens: int | None = Field(default=None, ge=0, lt=2**63)
    cost_microdollars: int | None = Field(default=None, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.tokens is None and self.cost_microdollars is None:
            raise ValueError("limits nothing; give tokens or cost_microdollars")
        return self


def _distinct(table: tuple[Limit, ...]) -> tuple[Limit, ...]:
    places = [(limit.scope, limit.name, limit.window) for limit in table]
    if twice := sorted({"/".join(place) for place in places if places.count(place) > 1}):
        raise ValueError(f"limited twice: {', '.join(twice)}")
    return table


LimitTable = Annotated[tuple[Limit, ...], Field(max_length=10_000), AfterValidator(_distinct)]


class LimitIndex:
    """A table of limits, for look-up.

    Attributes:
        table: The limits.
    """

    def __init__(self, table: LimitTable) -> None:
        self.table = table
        self._places = {(limit.scope, limit.name, limit.window): limit for limit in table}

    def of(self, scope: Scope, length: Length) -> Limit | None:
        """The scope's own limit, else the one for each; None where there is none."""
        return self._places.get((*scope, length)) or self._places.get((scope.kind, EACH, length))
