"""An instance that conforms to a JSON schema: the same one for the same schema, for ever."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from rstr import Rstr

if TYPE_CHECKING:
    from collections.abc import Callable

_DEEPEST = 12
_PATTERN_TRIES = 64
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example(schema: dict[str, Any]) -> Any:
    """Build an instance of the schema.

    Objects get all their properties (only the required ones far down), arrays as few items as they may have.
    Understands local $ref, allOf, anyOf, oneOf (the first), const, enum, default, type lists, bounds, lengths,
    formats and patterns; other keywords are not looked at.
    """
    return _Builder(schema).build(schema, 0)


class _Builder:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root

    def build(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict):
            return {}
        schema = self._flat(schema)
        given = _given(schema)
        if given:
            return given[0]
        kind = _kind(schema)
        builders: dict[str, Callable[[], Any]] = {
            "object": lambda: self._object(schema, depth),
            "array": lambda: self._array(schema, depth),
            "string": lambda: _string(schema),
            "integer": lambda: _number(schema, whole=True),
            "number": lambda: _number(schema, whole=False),
            "boolean": lambda: False,
        }
        return builders[kind]() if kind in builders else None

    def _flat(self, schema: dict[str, Any]) -> dict[str, Any]:
        for _ in range(_DEEPEST):
            if "$ref" in schema:
                parts = [self._target(schema["$ref"])]
            elif "allOf" in schema:
                parts = schema["allOf"]
            elif schema.get("anyOf") or schema.get("oneOf"):
                parts = [(schema.get("anyOf") or schema["oneOf"])[0]]
            else:
                break
            rest = {key: value for key, value in schema.items() if key not in ("$ref", "allOf", "anyOf", "oneOf")}
            schema = rest
            for part in parts:
                schema = _merged(schema, part if isinstance(part, dict) else {})
        return schema

    def _target(self, reference: str) -> dict[str, Any]:
        node: Any = self._root
        for part in reference.lstrip("#").strip("/").split("/"):
            if part:
                node = node[part.replace("~1", "/").replace("~0", "~")]
        return dict(node)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        names = required if depth >= _DEEPEST else dict.fromkeys([*properties, *required])
        return {name: self.build(properties.get(name, {}), depth + 1) for name in names}

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        fixed = [self.build(item, depth + 1) for item in schema.get("prefixItems", [])]
        missing = int(schema.get("minItems", 0)) - len(fixed)
        return fixed + [self.build(schema.get("items", {}), depth + 1) for _ in range(missing)]


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    properties = {**one.get("properties", {}), **other.get("properties", {})}
    required = [*one.get("required", []), *other.get("required", [])]
    merged = {**one, **other}
    if properties:
        merged["properties"] = properties
    if required:
        merged["required"] = list(dict.fromkeys(required))
    return merged


def _given(schema: dict[str, Any]) -> list[Any]:
    """The values a schema names itself, if any."""
    return [schema[keyword] for keyword in ("const", "default") if keyword in schema] or list(schema.get("enum", []))


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    if kind is None:
        kind = "object" if "properties" in schema else "string"
    return str(kind)


def _string(schema: dict[str, Any]) -> str:
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if "pattern" in schema:
        return _matching(schema["pattern"], least, most)
    text = _FORMATS.get(schema.get("format", ""), "example")
    return text.ljust(least, "x")[:most]


def _matching(pattern: str, least: int, most: int | None) -> str:
    text = ""
    for seed in range(_PATTERN_TRIES):
        text = Rstr(random.Random(seed)).xeger(pattern)  # noqa: S311 (an example, not a secret)
        if least <= len(text) and (most is None or len(text) <= most):
            break
    return text


def _number(schema: dict[str, Any], *, whole: bool) -> float:
    floor = max((schema[bound] for bound in ("minimum", "exclusiveMinimum") if bound in schema), default=None)
    ceiling = min((schema[bound] for bound in ("maximum", "exclusiveMaximum") if bound in schema), default=None)
    step = schema.get("multipleOf") or (1 if whole else None)
    candidates: list[float] = [0]
    for bound in (floor, ceiling):
        if bound is not None and step is None:
            candidates += [bound, bound + 1, bound - 1]
        elif bound is not None:
            multiple = math.ceil(bound / step) * step
            candidates += [multiple, multiple + step, multiple - step]
    if floor is not None and ceiling is not None and step is None:
        candidates.append((floor + ceiling) / 2)
    return next((value for value in candidates if _fits(value, schema)), 0)


def _fits(value: float, schema: dict[str, Any]) -> bool:
    return bool(
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and schema.get("exclusiveMinimum", value - 1) < value < schema.get("exclusiveMaximum", value + 1)
    )
