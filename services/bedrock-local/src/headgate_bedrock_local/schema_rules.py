"""Which part of JSON schema structured output takes (Bedrock user guide, structured output).

Applies to ``outputConfig`` and to tools with ``strict``; an ordinary tool's schema is passed to the model as it is.
"""

from __future__ import annotations

from typing import Any

from headgate_bedrock_local.wire import ServiceError

_REJECTED = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
        "contains",
        "minProperties",
        "maxProperties",
        "patternProperties",
        "if",
        "not",
        "oneOf",
    }
)
_SCHEMA_LISTS = ("anyOf", "allOf", "prefixItems")
_SCHEMA_MAPS = ("properties", "$defs", "definitions")
_DEEPEST = 64


def check_answer_schema(schema: object) -> None:
    """Check that structured output takes this schema.

    Raises:
        ServiceError: ValidationException that names the keyword and where it stands.
    """
    if not isinstance(schema, dict):
        raise ServiceError("ValidationException", "The schema of a structured answer must be a JSON object.")
    _check(schema, "$", 0)


def _check(schema: dict[str, Any], path: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise ServiceError("ValidationException", f"The schema is nested deeper than {_DEEPEST} levels.")
    for keyword in schema:
        if keyword in _REJECTED:
            raise _unsupported(f"property {keyword!r} is not supported", schema, path)
    if schema.get("minItems", 0) not in (0, 1):
        raise _unsupported("'minItems' may be 0 or 1 only", schema, path)
    if not str(schema.get("$ref", "#")).startswith("#"):
        raise _unsupported("'$ref' may point into this schema only", schema, path)
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise _unsupported("'additionalProperties' must be set to false", schema, path)
    for name, child in _children(schema):
        _check(child, f"{path}.{name}", depth + 1)


def _children(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    # A property may well be called "minimum": the maps are read as names and schemas, never as keywords.
    named = [(f"{kind}.{name}", child) for kind in _SCHEMA_MAPS for name, child in _items(schema.get(kind))]
    listed = [
        (f"{kind}[{index}]", child) for kind in _SCHEMA_LISTS for index, child in enumerate(schema.get(kind) or ())
    ]
    candidates = [*named, *listed, ("items", schema.get("items"))]
    return [(name, child) for name, child in candidates if isinstance(child, dict)]


def _items(value: object) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _unsupported(what: str, schema: dict[str, Any], path: str) -> ServiceError:
    return ServiceError("ValidationException", f"For the {schema.get('type')!r} type at {path}, {what}.")
