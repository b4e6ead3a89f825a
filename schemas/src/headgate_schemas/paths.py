"""Dotted field paths (``payload.attributes.amount``), compiled to getters for the hot path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

Getter = Callable[[Mapping[str, Any]], Any]

# An untrusted event may hold a string where the path expects a record: that is "absent", not a fault.
_ABSENT = (KeyError, TypeError, AttributeError)


def field_getter(path: str) -> Getter:
    """Compile a dotted path.

    Args:
        path: Field names from the record's root, joined by dots.

    Returns:
        A function of an event that gives the field's value, None where any part is absent, null or no record.

    Raises:
        ValueError: The path has an empty part.
    """
    parts = path.split(".")
    if not all(parts):
        raise ValueError(f"field path {path!r} has an empty part; write names joined by single dots")
    match parts:
        case [leaf]:
            return _depth_one(leaf)
        case [first, leaf]:
            return _depth_two(first, leaf)
        case [first, second, leaf]:
            return _depth_three(first, second, leaf)
    return _any_depth(parts[:-1], parts[-1])


# The depths in use are written out: a loop over the parts costs three times as much an event.


def _depth_one(leaf: str) -> Getter:
    def get(event: Mapping[str, Any]) -> Any:
        return event.get(leaf)

    return get


def _depth_two(first: str, leaf: str) -> Getter:
    def get(event: Mapping[str, Any]) -> Any:
        try:
            return event[first].get(leaf)
        except _ABSENT:
            return None

    return get


def _depth_three(first: str, second: str, leaf: str) -> Getter:
    def get(event: Mapping[str, Any]) -> Any:
        try:
            return event[first][second].get(leaf)
        except _ABSENT:
            return None

    return get


def _any_depth(parents: list[str], leaf: str) -> Getter:
    def get(event: Mapping[str, Any]) -> Any:
        try:
            return reduce(lambda value, part: value[part], parents, event).get(leaf)
        except _ABSENT:
            return None

    return get
