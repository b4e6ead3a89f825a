"""Avro to the letter: what the format forbids and fastavro reads all the same is refused before fastavro reads it.

There a negative index of a union or an enum counts from the end, any byte but zero is true, an int may have 64 bits, a
block may lie about its size, and an array of nulls may keep its reader busy for ever. Bytes like these were damaged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from headgate_runtime.avro import FRAME_BYTES, framed_schema_id
from headgate_runtime.errors import UndecodableError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Takes a value and where a part of it begins, and returns where that part ends.
Step = Callable[[bytes, int], int]

_MORE: Final = 0x80
_VARINT_BYTES: Final = 10
# Items a datum's arrays and maps may count beyond one a byte: an item may take no bytes.
_SPARE_ITEMS: Final = 65_536


class WriterSchemas(Protocol):
    """Knows what values were written with; the runtime's Avro decoder does."""

    def writer_schema(self, schema_id: int) -> dict[str, Any]:
        """Return the schema of an id, parsed and without logical types.

        Raises:
            UndecodableError: There is none that can be read.
            UnavailableError: The registry does not know the id yet and cannot be asked.
        """


class SchemaDecoder(WriterSchemas, Protocol):
    """Decodes single values too."""

    def decode(self, value: bytes | None) -> dict[str, Any]:
        """Decode a framed value; raises what ``writer_schema`` raises."""


class StrictDecoder:
    """Decodes as another decoder does, and refuses what Avro forbids."""

    def __init__(self, decoder: SchemaDecoder) -> None:
        self._decoder = decoder
        self._audits: dict[int, Callable[[bytes], None]] = {}

    def decode(self, value: bytes | None) -> dict[str, Any]:
        """Decode a framed value.

        Raises:
            UndecodableError: The bytes are not what the contract says.
            UnavailableError: The registry does not know the schema id and cannot be asked.
        """
        if value is not None:
            schema_id = framed_schema_id(value)
            audit = self._audits.get(schema_id) or self._new_audit(schema_id)
            try:
                audit(value)
            except _ForbiddenError as error:
                raise UndecodableError("undecodable", f"schema {schema_id}: {error}", schema_id) from None
        return self._decoder.decode(value)

    def _new_audit(self, schema_id: int) -> Callable[[bytes], None]:
        return self._audits.setdefault(schema_id, compile_audit(self._decoder.writer_schema(schema_id)))


class _ForbiddenError(Exception):
    """The datum has something that Avro forbids."""


def compile_audit(schema: Any) -> Callable[[bytes], None]:
    """Compile a parsed schema into a check of framed values; it raises at what Avro forbids, and at nothing else."""
    steps = _Steps()
    walk = steps.of(schema)

    def audit(value: bytes) -> None:
        steps.items = len(value) + _SPARE_ITEMS
        try:
            walk(value, FRAME_BYTES)
        except IndexError:
            return  # too short, which the decoder says in its own words

    return audit


class _Steps:
    """The steps of one schema, closures all: this is a walk over every field of every record.

    Attributes:
        items: What arrays and maps of the datum at hand may still count.
    """

    def __init__(self) -> None:
        self.items = 0
        self._named: dict[str, Step] = {}

    def of(self, schema: Any) -> Step:
        if isinstance(schema, list):
            return _union([self.of(branch) for branch in schema])
        if isinstance(schema, str):
            return _PRIMITIVES.get(schema) or self._by_name(schema)
        match schema["type"]:
            case "record" | "error":
                step = _record([self.of(field["type"]) for field in schema["fields"]])
            case "enum":
                step = _enum(len(schema["symbols"]))
            case "fixed":
                step = _width(schema["size"])
            case "array":
                step = self._blocks(self.of(schema["items"]))
            case "map":
                step = self._blocks(_record([_text, self.of(schema["values"])]))
            case inner:
                step = self.of(inner)
        if "name" in schema:
            self._named[schema["name"]] = step
        return step

    def _by_name(self, name: str) -> Step:
        def step(value: bytes, at: int) -> int:
            return self._named[name](value, at)  # only now: a type may name itself before it is complete

        return step

    def _blocks(self, item: Step) -> Step:
        def step(value: bytes, at: int) -> int:
            while True:
                count, at = _number(value, at)
                if not count:
                    return at
                size = None
                if count < 0:
                    count = -count
                    size, at = _number(value, at)
                begin = at
                self.items -= count
                if self.items < 0:
                    _forbid("a block counts more items than a datum may hold")
                for _ in range(count):
                    at = item(value, at)
                if size is not None and at - begin != size:
                    _forbid("a block is not as long as it says")

        return step


def _forbid(what: str) -> NoReturn:
    raise _ForbiddenError(what)


def _long(value: bytes, at: int) -> int:
    begin = at
    while value[at] >= _MORE:
        at += 1
    at += 1
    if at - begin >= _VARINT_BYTES and (at - begin > _VARINT_BYTES or value[at - 1] > 1):
        _forbid("a number has more than 64 bits")
    return at


def _number(value: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends."""
    byte = value[at]
    if byte < _MORE:
        return byte >> 1 ^ -(byte & 1), at + 1
    end = _long(value, at)
    number = 0
    for index in range(end - 1, at - 1, -1):
        number = number << 7 | value[index] & 0x7F
    return number >> 1 ^ -(number & 1), end


def _int(value: bytes, at: int) -> int:
    if value[at] < _MORE:
        return at + 1
    number, end = _number(value, at)
    if not -(2**31) <= number < 2**31:
        _forbid("an int has more than 32 bits")
    return end


def _boolean(value: bytes, at: int) -> int:
    if value[at] > 1:
        _forbid("a boolean is neither 0 nor 1")
    return at + 1


def _text(value: bytes, at: int) -> int:
    byte = value[at]
    if byte < _MORE and not byte & 1:
        return at + 1 + (byte >> 1)
    length, at = _number(value, at)
    if length < 0:
        _forbid("a length is negative")
    return at + length


def _nothing(_: bytes, at: int) -> int:
    return at


def _width(width: int) -> Step:
    return lambda _, at: at + width


def _record(fields: Sequence[Step]) -> Step:
    def step(value: bytes, at: int) -> int:
        for field in fields:
            at = field(value, at)
        return at

    return step


def _enum(symbols: int) -> Step:
    def step(value: bytes, at: int) -> int:
        index, at = _number(value, at)
        if not 0 <= index < symbols:
            _forbid("an enum has no symbol of that index")
        return at

    return step


def _union(branches: Sequence[Step]) -> Step:
    by_byte = {index << 1: branch for index, branch in enumerate(branches[: _MORE >> 1])}

    def step(value: bytes, at: int) -> int:
        if branch := by_byte.get(value[at]):
            return branch(value, at + 1)
        index, at = _number(value, at)
        if not 0 <= index < len(branches):
            _forbid("a union has no branch of that index")
        return branches[index](value, at)

    return step


_PRIMITIVES: Final[dict[str, Step]] = {
    "null": _nothing,
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "float": _width(4),
    "double": _width(8),
    "bytes": _text,
    "string": _text,
}
