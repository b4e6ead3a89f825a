"""Strategies: Avro types that have a column, values of them, later versions of them, and damage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from .decoders import record_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from headgate_schemas import RecordSchema

_EARLIEST_DAY, _LATEST_DAY = -719_162, 2_932_896
_EARLIEST_S, _END_S = -62_135_596_800, 253_402_300_800
_LOGICAL: list[dict[str, Any]] = [
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "int", "logicalType": "date"},
    {"type": "string", "logicalType": "uuid"},
]
# Values that a column takes; instants and dates as the numbers they are stored as.
_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32),
    "double": st.floats(),
    "string": st.text(max_size=5),
    "bytes": st.binary(max_size=5),
    "timestamp-millis": st.integers(_EARLIEST_S * 1_000, _END_S * 1_000 - 1),
    "timestamp-micros": st.integers(_EARLIEST_S * 1_000_000, _END_S * 1_000_000 - 1),
    "date": st.integers(_EARLIEST_DAY, _LATEST_DAY),
    "uuid": st.uuids().map(str),
}
_NESTED: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "enum": lambda kind: st.sampled_from(kind["symbols"]),
    "fixed": lambda kind: st.binary(min_size=kind["size"], max_size=kind["size"]),
    "record": lambda kind: st.fixed_dictionaries({field["name"]: values_of(field["type"]) for field in kind["fields"]}),
    "array": lambda kind: st.lists(values_of(kind["items"]), max_size=3),
    "map": lambda kind: st.dictionaries(st.text(max_size=3), values_of(kind["values"]), max_size=3),
}
_PRIMITIVES = ["boolean", "int", "long", "float", "double", "string", "bytes"]
_WIDER = {"int": ["long", "double"], "float": ["double"]}
_DEFAULTS: dict[str, Any] = {"long": 7, "double": 0.5, "string": "none", "boolean": True}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type in which every named type stands in full."""
    if isinstance(kind, list):
        return st.one_of(*map(values_of, kind))
    if isinstance(kind, str):
        return _PLAIN[kind]
    return _PLAIN[kind["logicalType"]] if "logicalType" in kind else _NESTED[kind["type"]](kind)


def types(path: str, depth: int = 2) -> st.SearchStrategy[Any]:
    """Types; a named one is named after its path."""
    symbols = st.integers(1, 3).map(lambda count: ["A", "B", "C"][:count])
    leaves = st.one_of(
        st.sampled_from([*_PRIMITIVES, *_LOGICAL]),
        symbols.map(lambda drawn: {"type": "enum", "name": f"enum_{path}", "symbols": drawn}),
        st.integers(1, 4).map(lambda size: {"type": "fixed", "name": f"fixed_{path}", "size": size}),
    )
    if not depth:
        return leaves
    return st.one_of(
        leaves,
        fields(path, depth - 1).map(lambda drawn: {"type": "record", "name": f"record_{path}", "fields": drawn}),
        types(f"{path}_i", depth - 1).map(lambda item: {"type": "array", "items": item}),
        types(f"{path}_v", depth - 1).map(lambda value: {"type": "map", "values": value}),
        _not_union(path, depth - 1).flatmap(lambda inner: st.permutations(["null", inner])),
    )


def fields(path: str = "", depth: int = 2) -> st.SearchStrategy[list[dict[str, Any]]]:
    """One to four fields of a record."""
    kinds = st.integers(1, 4).flatmap(lambda count: st.tuples(*[types(f"{path}_{n}", depth) for n in range(count)]))
    return kinds.map(lambda drawn: [{"name": f"f{n}", "type": kind} for n, kind in enumerate(drawn)])


def _not_union(path: str, depth: int) -> st.SearchStrategy[Any]:
    return types(path, depth).filter(lambda kind: not isinstance(kind, list))


@st.composite
def two_versions(draw: st.DrawFn) -> tuple[RecordSchema, RecordSchema]:
    """Draw a record and a later version of it that reads the first as well."""
    first = draw(fields())
    return record_of(*first), record_of(*draw(_later("reading", first)), version=2)


@st.composite
def _later(draw: st.DrawFn, path: str, first: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = draw(st.lists(st.sampled_from(first), min_size=1, unique_by=lambda field: field["name"]))
    later = [{**field, "type": draw(_wider(field["type"]))} for field in kept]
    new = [draw(_new_field(f"{path}_{n}")) for n in range(draw(st.integers(0, 2)))]
    return draw(st.permutations([*later, *new]))


@st.composite
def _wider(draw: st.DrawFn, kind: Any) -> Any:
    """The type itself, one it is promoted to, the same with null, or a record's later version."""
    if isinstance(kind, list):
        return draw(st.permutations([draw(_wider_inside(branch)) for branch in kind]))
    wider = draw(_wider_inside(kind))
    return draw(st.sampled_from([wider, ["null", wider], [wider, "null"]]))


@st.composite
def _wider_inside(draw: st.DrawFn, kind: Any) -> Any:
    if isinstance(kind, str):
        return draw(st.sampled_from([kind, *_WIDER.get(kind, [])]))
    match kind["type"]:
        case "record":
            return {**kind, "fields": draw(_later(kind["name"], kind["fields"]))}
        case "array":
            return {**kind, "items": draw(_wider(kind["items"]))}
        case "map":
            return {**kind, "values": draw(_wider(kind["values"]))}
        case _:
            return kind


def _new_field(name: str) -> st.SearchStrategy[dict[str, Any]]:
    optional = _not_union(name, 1).map(lambda kind: {"name": name, "type": ["null", kind], "default": None})
    given = st.sampled_from(list(_DEFAULTS.items()))
    return optional | given.map(lambda item: {"name": name, "type": item[0], "default": item[1]})


def damaged(value: bytes, rng: random.Random) -> bytes:
    """Flip, cut, lengthen, repeat or overwrite parts of a value, its frame included."""
    bytes_ = bytearray(value)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(bytes_) + 1)
        match rng.randrange(7):
            case 0 if at < len(bytes_):
                bytes_[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(bytes_):
                bytes_[at] = rng.choice((0, 1, 2, 3, 0x7F, 0x80, 0xFF))
            case 2:
                del bytes_[at:]
            case 3:
                bytes_ += rng.randbytes(rng.randint(1, 4))
            case 4:
                del bytes_[at : at + rng.randint(1, 3)]
            case 5:
                bytes_[at:at] = varint(rng.choice((2**62, -(2**63), 2**31, -1, -2, 1, 2**40, -(2**31) - 1, 2**63 - 1)))
            case _:
                begin = rng.randrange(len(bytes_) + 1)
                bytes_[at:at] = bytes_[begin : begin + rng.randint(1, 20)]
    return bytes(bytes_)


def varint(number: int) -> bytes:
    """A number as Avro writes it."""
    left = number << 1 ^ number >> 63
    encoded = bytearray()
    while left > 0x7F:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*encoded, left])
