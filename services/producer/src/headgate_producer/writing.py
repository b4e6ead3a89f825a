"""Avro writing compiled for one record: checks a value and writes it in the same pass.

fastavro writes one field after the other through the type of each union, and its laxness needs a check before it: together
three times this pass (tests/bench/producer.py). Whatever is not plain here (arrays, maps, enums, subclasses, misfits) is
declined and left to the check that knows why, and to fastavro.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from headgate_producer.shape import Branch, Leaf, Node, shape_of

if TYPE_CHECKING:
    from headgate_schemas import RecordSchema

Write = Callable[[Any], bytes]

_LOW: Final = 0x7F
_MORE: Final = 0x80
_SHORT: Final = 256  # lengths looked up; longer texts are rare
_BITS: Final = {"int": 32, "long": 64}


class DeclinedError(Exception):
    """The value is not plain, or does not fit."""


def compile_writer(record: RecordSchema) -> Write | None:
    """Build the function that writes a record's values, without frame; None where the record is not plain.

    The function raises ``DeclinedError`` for a value it does not write; what it writes is what fastavro writes.
    """
    write = _branch(shape_of(record.schema))
    if write is None:
        return None

    def guarded(value: Any) -> bytes:
        try:
            return write(value)
        except (KeyError, TypeError, AttributeError, OverflowError, UnicodeEncodeError) as error:
            raise DeclinedError from error

    return guarded


def _branch(branch: Branch) -> Write | None:
    plan: list[tuple[str, Any, Mapping[type, Write]]] = []  # joining the None of a field that takes no null raises
    for name, node in branch.fields.items():
        writers = _writers(node)
        if writers is None:
            return None
        plan.append((name, _null(node), writers))
    known = frozenset(branch.fields)
    # An absent field reads as null: that must not pass for one where null has to be said.
    said = frozenset(name for name, node in branch.fields.items() if node.nullable and not node.optional)

    def write(value: Any) -> bytes:
        if not said <= value.keys() <= known:
            raise DeclinedError
        get = value.get
        return b"".join(
            [null if (field := get(name)) is None else writers[type(field)](field) for name, null, writers in plan]
        )

    return write


def _writers(node: Node) -> Mapping[type, Write] | None:
    """How a field's values are written, by their exact class; None where it takes more than one plain class."""
    if isinstance(node, Branch):
        inner = None if node.nullable or node.optional else _branch(node)
        return None if inner is None else {dict: inner}
    if not isinstance(node, Leaf) or (node.optional and not node.nullable):
        return None  # an absent field that takes a default other than null is left to fastavro
    if not node.nullable:
        return _plain(node.kind, b"")
    return _plain(node.kind, b"\x02" if node.null_first else b"\x00")


def _null(node: Node) -> bytes | None:
    """What is written for null; None where the field does not take it."""
    if not isinstance(node, Leaf) or not node.nullable:
        return None
    return b"\x00" if node.null_first else b"\x02"


def _plain(kind: str, prefix: bytes) -> dict[type, Write]:
    """Writers of one primitive, the index of its union branch before it."""
    match kind:
        case "string":
            return {str: _text(prefix)}
        case "boolean":
            return {bool: {False: prefix + b"\x00", True: prefix + b"\x01"}.__getitem__}
        case "int" | "long":
            return {int: _integer(prefix, _BITS[kind])}
        case _:
            pack = struct.Struct("<f" if kind == "float" else "<d").pack
            return dict.fromkeys((float, int), lambda value: prefix + pack(value))


def _text(prefix: bytes) -> Write:
    starts = tuple(prefix + _varint(length << 1) for length in range(_SHORT))

    def write(value: Any) -> bytes:
        encoded: bytes = value.encode()
        length = len(encoded)
        return (starts[length] if length < _SHORT else prefix + _varint(length << 1)) + encoded

    return write


def _integer(prefix: bytes, bits: int) -> Write:
    limit = 1 << (bits - 1)

    def write(value: Any) -> bytes:
        if not -limit <= value < limit:
            raise OverflowError
        return prefix + _varint(value << 1 if value >= 0 else ~(value << 1))

    return write


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first, the high bit set on all but the last."""
    written = bytearray()
    while number > _LOW:
        written.append((number & _LOW) | _MORE)
        number >>= 7
    written.append(number)
    return bytes(written)
