"""Dotted field paths (``payload.attributes.amount``), compiled to getters for the hot path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
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


def texts_getter(path: str) -> Callable[[Mapping[str, Any]], Iterator[str]]:
    """Compile a path for all the texts there: of items (``tags[]``) and values (``notes{}``), and of all that is inside.

    Raises:
        ValueError: As :func:`field_getter`.
    """
    if "[]" not in path and "{}" not in path:
        get = field_getter(path)
        return lambda event: _texts_in(get(event))
    steps = _steps(path)
    return lambda event: (text for value in _values_at(event, steps) for text in _texts_in(value))


def with_replaced(value: Mapping[str, Any], path: str, replacement: object) -> dict[str, Any]:
    """A copy of a record's value in which every value at a path, of all items and values, is another; null stays null."""
    changed: dict[str, Any] = _replaced(dict(value), _steps(path), replacement)
    return changed


def _steps(path: str) -> list[str]:
    return re.findall(r"\[\]|\{\}|[^.\[\]{}]+", path)


def _values_at(value: Any, steps: list[str]) -> Iterator[Any]:
    if not steps:
        yield value
        return
    match steps[0], value:
        case "[]", list():
            inner = value
        case "{}", dict():
            inner = list(value.values())
        case name, dict():
            inner = [value[name]] if name in value else []
        case _:
            inner = []
    for part in inner:
        yield from _values_at(part, steps[1:])


def _replaced(value: Any, steps: list[str], replacement: object) -> Any:
    if not steps:
        return None if value is None else replacement
    rest = steps[1:]
    match steps[0], value:
        case "[]", list():
            return [_replaced(item, rest, replacement) for item in value]
        case "{}", dict():
            return {key: _replaced(each, rest, replacement) for key, each in value.items()}
        case name, dict() if name in value:
            return {**value, name: _replaced(value[name], rest, replacement)}
    return value


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts_in(each)


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
