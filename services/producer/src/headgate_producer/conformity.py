"""Does a value fit its record's schema? One boolean pass on the hot path; the reason is sought only where it fails.

The Avro encoder alone would not do: it leaves out fields it does not know, writes 1.5 as the long 1, and true as 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from headgate_schemas import Violation, broken

from headgate_producer.shape import Branch, Leaf, Node, shape_of

if TYPE_CHECKING:
    from headgate_schemas import RecordSchema

Check = Callable[[Any], Violation | None]

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "string": (str,),
}
_RANGES: Final[Mapping[str, tuple[int, int]]] = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
_LONGEST_NAME: Final = 100


def compile_conformity(record: RecordSchema) -> Check:
    """Build the check of a record's values.

    Arrays, maps, enums, bytes and wide unions are left to the encoder, which refuses what does not fit them.

    Returns:
        A function of an event that gives None where it fits, else the first field that does not. The rules are
        ``schema_missing``, ``schema_type``, ``schema_range`` and ``schema_unknown_field``; the message says the class
        of the value, never the value.
    """
    shape = shape_of(record.schema)
    fits = _compile(shape)

    def check(event: Any) -> Violation | None:
        return None if fits(event) else _diagnose(shape, event, "", record.label)

    return check


def _compile(branch: Branch) -> Callable[[Any], bool]:
    """A test by exact types; False also where only the slow pass can tell."""
    known = frozenset(branch.fields)
    required = frozenset(name for name, node in branch.fields.items() if not node.optional)
    leaves = {name: node for name, node in branch.fields.items() if isinstance(node, Leaf)}
    types = tuple((name, _allowed(leaf)) for name, leaf in leaves.items())
    ranges = tuple((name, *_RANGES[leaf.kind]) for name, leaf in leaves.items() if leaf.kind in _RANGES)
    inner = tuple((name, _compile(node)) for name, node in branch.fields.items() if isinstance(node, Branch))

    def fits(value: Any) -> bool:
        if type(value) is not dict or not required <= value.keys() <= known:
            return False
        get = value.get
        for name, allowed in types:
            if type(get(name)) not in allowed:
                return False
        for name, low, high in ranges:
            number = get(name)
            if number is not None and not low <= number <= high:
                return False
        return all(fits_inner(get(name)) for name, fits_inner in inner)

    return fits


def _allowed(leaf: Leaf) -> frozenset[type]:
    return frozenset((*_TYPES[leaf.kind], type(None)) if leaf.nullable else _TYPES[leaf.kind])


def _diagnose(branch: Branch, value: Any, path: str, record: str) -> Violation | None:
    """Find the first misfit, with no assumption about exact types; None where the value fits after all."""
    prefix = f"{path}." if path else ""
    if not isinstance(value, Mapping):
        return broken(path, "schema_type", "must be an object", value)
    for name in value:
        if name not in branch.fields:
            field = f"{prefix}{name}"[:_LONGEST_NAME]
            advice = f"{record} has no field {field}; leave it out or extend the contract"
            return Violation(field, "schema_unknown_field", advice)
    for name, node in branch.fields.items():
        field = f"{prefix}{name}"
        if name not in value and not node.optional:
            return broken(field, "schema_missing", f"is required by {record}", None)
        violation = _diagnose_field(node, value[name], field, record) if name in value else None
        if violation is not None:
            return violation
    return None


def _diagnose_field(node: Node, value: Any, field: str, record: str) -> Violation | None:
    if value is None and node.nullable:
        return None
    if isinstance(node, Branch):
        return _diagnose(node, value, field, record)
    if not isinstance(node, Leaf):
        return None
    if not isinstance(value, _TYPES[node.kind]) or (isinstance(value, bool) and node.kind != "boolean"):
        return broken(field, "schema_type", f"must be of type {node.kind}", value)
    if not _in_range(node.kind, value):
        return broken(field, "schema_range", f"must be within the range of {node.kind}", value)
    return None


def _in_range(kind: str, value: Any) -> bool:
    low, high = _RANGES.get(kind, (value, value))
    return bool(low <= value <= high) or kind not in _RANGES  # NaN is in no range, and has none to be in
