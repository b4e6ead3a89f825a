"""Conditions on features as data, compiled to tests: what an agent's rules are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

Test = Callable[[Mapping[str, Any]], bool]


class Bounds(BaseModel):
    """A condition on one feature other than equality; exactly one of its parts is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_least: float | None = None
    at_most: float | None = None
    one_of: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _one_part(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a condition is a value or one of at_least, at_most, one_of")
        return self


When = dict[str, bool | str | Bounds]
"""Feature to value, or to bounds; all have to hold."""


def compile_when(when: Mapping[str, bool | str | Bounds]) -> Test:
    """Make one test of conditions; the rarest to hold is best named first."""
    tests = [_condition(feature, expected) for feature, expected in when.items()]
    if len(tests) == 1:
        return tests[0]
    first, rest = tests[0], tests[1:]
    return lambda features: first(features) and all(test(features) for test in rest)


def _condition(feature: str, expected: bool | str | Bounds) -> Test:  # noqa: FBT001 - the value a flag is compared with
    if not isinstance(expected, Bounds):
        return lambda features: features[feature] == expected
    if (least := expected.at_least) is not None:
        return lambda features: features[feature] >= least
    if (most := expected.at_most) is not None:
        return lambda features: features[feature] <= most
    allowed = frozenset(expected.one_of or ())
    return lambda features: features[feature] in allowed
