"""Contract rules compiled to closures: what a schema cannot say, checked on every event."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headgate_schemas.paths import field_getter

if TYPE_CHECKING:
    from headgate_schemas.topics import Rule, TopicContract

Check = Callable[[Mapping[str, Any]], "Violation | None"]
ValueCheck = Callable[[Sequence[Any]], "Violation | None"]
Breaks = Callable[[Any], bool]

_NUMBERS: frozenset[Any] = frozenset({int, float})  # by exact class: a boolean is no number
_SIZES: Mapping[Any, tuple[str, str]] = {
    str: ("a text", "characters"),
    bytes: ("a value", "bytes"),
    list: ("an array", "items"),
    tuple: ("an array", "items"),
    dict: ("an object", "entries"),
}
_SIZED: frozenset[Any] = frozenset(_SIZES)
_SCALARS: frozenset[Any] = frozenset({str, int})


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that an event broke.

    Attributes:
        field: Path of the field.
        rule: Name of the rule.
        message: What the field must be, of which class its value is, and the rule; never the value.
    """

    field: str
    rule: str
    message: str


# One constraint of a rule: index of its value, breaks (None stands for "required"), index and value of its condition,
# the rule, the demand in words. A plain tuple: the loop over them unpacks it twice as fast as a named one.
_Step = tuple[int, "Breaks | None", "int | None", object, "Rule", str]


def compile_rules(topic: TopicContract, only: Callable[[Rule], bool] = lambda _: True) -> Check:
    """Compile a topic's rules into one function of an event.

    Args:
        topic: The topic.
        only: Says which of its rules to take; all of them without it.

    Returns:
        A function that gives the first broken rule in the contract's order, None where all hold. It takes any mapping,
        also one that is not of the topic's record.
    """
    paths, check_values = compile_value_rules(topic, only)
    getters = [field_getter(path) for path in paths]

    def check(event: Mapping[str, Any]) -> Violation | None:
        return check_values([get(event) for get in getters])

    return check


def compile_value_rules(
    topic: TopicContract, only: Callable[[Rule], bool] = lambda _: True
) -> tuple[tuple[str, ...], ValueCheck]:
    """Compile a topic's rules as :func:`compile_rules`, for events whose fields are at hand already.

    Returns:
        Paths of fields, and a function of their values in this order.
    """
    indexes: dict[str, int] = {}

    def index_of(path: str) -> int:
        return indexes.setdefault(path, len(indexes))

    steps: list[_Step] = []
    for rule in filter(only, topic.rules):
        when = index_of(rule.when.field) if rule.when else None
        equals = rule.when.equals if rule.when else None
        value = index_of(rule.field)
        steps += [(value, breaks, when, equals, rule, demand) for breaks, demand in _constraints(rule)]

    def check(values: Sequence[Any]) -> Violation | None:
        # Each field is read once; a condition is looked at only after its rule broke, which is rare.
        for index, breaks, when, equals, rule, demand in steps:
            value = values[index]
            if value is None:
                if breaks is not None:
                    continue
            elif breaks is None or not breaks(value):
                continue
            if when is None or values[when] == equals:
                return broken(rule.field, rule.name, demand, value)
        return None

    return tuple(indexes), check


def _constraints(rule: Rule) -> Iterator[tuple[Breaks | None, str]]:
    if rule.required:
        condition = f" where {rule.when.field} is {rule.when.equals}" if rule.when else ""
        yield None, f"is required{condition}"
    if rule.minimum is not None or rule.maximum is not None:
        yield _outside(rule.minimum, rule.maximum), f"must be a number {_span(rule.minimum, rule.maximum)}"
    if rule.min_length is not None or rule.max_length is not None:
        yield (
            _missized(rule.min_length or 0, rule.max_length),
            f"must have a length {_span(rule.min_length, rule.max_length)}",
        )
    if rule.one_of is not None:
        yield _not_in(frozenset(rule.one_of)), f"must be one of {', '.join(map(str, rule.one_of))}"
    if rule.one_of_set is not None:
        yield _not_in(rule.one_of_set.values), f"must be in the set {rule.one_of_set.name}"
    if rule.pattern is not None:
        yield _unlike(rule.pattern), f"must match {rule.pattern}"


def _outside(minimum: float | None, maximum: float | None) -> Breaks:
    # The largest finite numbers as defaults: an infinite value breaks a one-sided rule too, and so does NaN.
    low = -sys.float_info.max if minimum is None else minimum
    high = sys.float_info.max if maximum is None else maximum

    def breaks(value: Any) -> bool:
        return value.__class__ not in _NUMBERS or not low <= value <= high

    return breaks


def _missized(minimum: int, maximum: int | None) -> Breaks:
    high = sys.maxsize if maximum is None else maximum

    def breaks(value: Any) -> bool:
        return value.__class__ not in _SIZED or not minimum <= len(value) <= high

    return breaks


def _not_in(allowed: frozenset[Any]) -> Breaks:
    def breaks(value: Any) -> bool:
        return value.__class__ not in _SCALARS or value not in allowed

    return breaks


def _unlike(pattern: str) -> Breaks:
    matches = re.compile(pattern).fullmatch

    def breaks(value: Any) -> bool:
        return value.__class__ is not str or matches(value) is None

    return breaks


def _span(low: float | None, high: float | None) -> str:
    bounds = [f"at least {low}"] if low is not None else []
    return " and ".join([*bounds, f"at most {high}"] if high is not None else bounds)


def broken(field: str, rule: str, demand: str, value: Any) -> Violation:
    """A violation in the words that every edge uses: ``FIELD DEMAND; it is CLASS OF VALUE (rule RULE)``."""
    return Violation(field, rule, f"{field or 'the event'} {demand}; it is {class_of(value)} (rule {rule})")


def class_of(value: Any) -> str:
    """The class of a value in words that give nothing of it away but sign and size."""
    if value is None or value.__class__ is bool:
        return "null" if value is None else "a boolean"
    if value.__class__ in _NUMBERS:
        if value.__class__ is float and not math.isfinite(value):
            return "not a finite number"
        return "a negative number" if value < 0 else "a number"
    if value.__class__ in _SIZED:
        kind, unit = _SIZES[value.__class__]
        return f"{kind} of {len(value)} {unit}"
    return "of another type"
