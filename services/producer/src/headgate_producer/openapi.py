"""The contract as JSON Schema, so that the HTTP documentation says what an event must be and a fuzzer can make some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headgate_producer.shape import Branch, Leaf, Node, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_schemas import RecordSchema, Rule, TopicContract

_KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "boolean": {"type": "boolean"},
    "int": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number"},
    "double": {"type": "number"},
    "string": {"type": "string"},
}
_ISO: Final = {"type": "string", "format": "date-time", "description": "ISO 8601 with its zone."}


def event_schema(topic: TopicContract, record: RecordSchema) -> dict[str, Any]:
    """JSON Schema of one event: the record, narrowed by the contract's rules that hold always.

    A rule that holds only under a condition is named in the field's description.
    """
    rules: dict[str, list[Rule]] = {}
    for rule in topic.rules:
        rules.setdefault(rule.field, []).append(rule)
    return _object(shape_of(record.schema), "", rules)


def batch_schema(event: Mapping[str, Any], max_events: int) -> dict[str, Any]:
    """JSON Schema of a request: one event, or an array of them."""
    return {"anyOf": [event, {"type": "array", "items": event, "minItems": 1, "maxItems": max_events}]}


def _object(branch: Branch, prefix: str, rules: Mapping[str, list[Rule]]) -> dict[str, Any]:
    required = [
        name
        for name, node in branch.fields.items()
        if not node.optional or any(rule.required and rule.when is None for rule in rules.get(prefix + name, ()))
    ]
    return {
        "type": "object",
        "description": branch.doc,
        "properties": {name: _field(node, prefix + name, rules) for name, node in branch.fields.items()},
        "required": required,
        "additionalProperties": False,
    }


def _field(node: Node, path: str, rules: Mapping[str, list[Rule]]) -> dict[str, Any]:
    if isinstance(node, Branch):
        schema = _object(node, f"{path}.", rules)
    elif isinstance(node, Leaf):
        schema = {**_KINDS[node.kind], **_narrowed(rules.get(path, ()))}
        if node.logical in {"timestamp-millis", "timestamp-micros"}:
            schema = {"anyOf": [schema, _ISO]}
    else:
        return {"description": node.doc}
    described = {"description": " ".join([node.doc, *_conditions(rules.get(path, ()))])}
    return {"anyOf": [schema, {"type": "null"}], **described} if node.nullable else {**schema, **described}


def _narrowed(rules: list[Rule] | tuple[()]) -> dict[str, Any]:
    narrowed: dict[str, Any] = {}
    for rule in rules:
        if rule.when is not None:
            continue
        said = {
            "minimum": rule.minimum,
            "maximum": rule.maximum,
            "minLength": rule.min_length,
            "maxLength": rule.max_length,
            "enum": _allowed(rule),
            "pattern": None if rule.pattern is None else f"^(?:{rule.pattern})$",
        }
        narrowed |= {key: value for key, value in said.items() if value is not None}
    return narrowed


def _allowed(rule: Rule) -> list[str | int] | None:
    if rule.one_of is not None:
        return list(rule.one_of)
    return sorted(rule.one_of_set.values) if rule.one_of_set is not None else None


def _conditions(rules: list[Rule] | tuple[()]) -> list[str]:
    return [
        f"Rule {rule.name} holds where {rule.when.field} is {rule.when.equals}."
        for rule in rules
        if rule.when is not None
    ]
