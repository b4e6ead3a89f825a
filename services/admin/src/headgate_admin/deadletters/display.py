"""Dead letters for people and programs: groups of them, or all of one; personal data only where it is asked for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from headgate_admin.deadletters.decoding import decode_as_far
from headgate_admin.reviews.display import without_personal
from headgate_admin.times import readable_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from headgate_runtime.records import Headers
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import RecordSchema

    from headgate_admin.deadletters.decoding import Decoded
    from headgate_admin.deadletters.letters import Letter
    from headgate_admin.deadletters.position import Position

GROUP_COLUMNS = ("topic", "cause", "rule", "letters", "replayed", "newest", "its letter")
_HIDDEN = "(personal)"


class _Kind(NamedTuple):
    """What letters are grouped by."""

    topic: str
    cause: str
    rule: str | None


def groups(letters: Iterable[Letter], replayed: Collection[Position]) -> list[dict[str, Any]]:
    """Count letters by topic, cause and rule, the largest group first; the newest letter stands for its group."""
    counts, back, newest = Counter[_Kind](), Counter[_Kind](), dict[_Kind, "Letter"]()
    for letter in letters:
        value = letter.value
        kind = _Kind(value["source_topic"], value["cause"], value["rule"])
        counts[kind] += 1
        back[kind] += letter.source in replayed
        if kind not in newest or value["failed_at"] >= newest[kind].value["failed_at"]:
            newest[kind] = letter
    return [
        {
            **kind._asdict(),
            "letters": count,
            "replayed": back[kind],
            "newest": newest[kind].value["failed_at"],
            "letter": str(newest[kind].position),
            "message": newest[kind].value["message"],
        }
        for kind, count in counts.most_common()
    ]


def group_row(group: Mapping[str, Any]) -> list[object]:
    """A group as cells under ``GROUP_COLUMNS``."""
    shown = {**group, "newest": readable_time(group["newest"])}
    del shown["message"]
    return list(shown.values())


def describe(
    letter: Letter,
    replay: Mapping[str, Any] | None,
    registry: SchemaRegistry,
    record: RecordSchema,
    *,
    reveal: bool,
) -> dict[str, Any]:
    """All of a letter, in JSON form.

    Args:
        letter: The letter.
        replay: How it was put back, None where it was not.
        registry: Knows the schema of its value.
        record: What the value should be.
        reveal: Key, bytes and fields that name a person too.
    """
    value = letter.value
    kept = ("cause", "message", "field", "rule", "service", "failed_at", "source_timestamp", "schema_id")
    return {
        "letter": str(letter.position),
        "source": str(letter.source),
        **{name: value[name] for name in kept},
        "key": _text(value["key"]) if reveal or value["key"] is None else _HIDDEN,
        "headers": [{"name": header["name"], "value": _text(header["value"])} for header in value["headers"]],
        "value": _described_value(value["value"], registry, record, reveal=reveal),
        "replayed": None
        if replay is None
        else {name: replay[name] for name in ("replayed_at", "replayed_by", "mended")},
    }


def headers_of(letter: Letter) -> Headers:
    """The headers of the record it is about."""
    return tuple((header["name"], header["value"]) for header in letter.value["headers"])


def jsonable(value: Any) -> Any:
    """A decoded value as contracts write it in JSON: bytes as text of latin-1."""
    match value:
        case bytes():
            return value.decode("latin-1")
        case dict():
            return {name: jsonable(part) for name, part in value.items()}
        case list():
            return [jsonable(part) for part in value]
        case _:
            return value


def _described_value(
    value: bytes | None, registry: SchemaRegistry, record: RecordSchema, *, reveal: bool
) -> dict[str, Any] | None:
    if value is None:
        return None
    decoded = decode_as_far(value, registry, record)
    return {
        "bytes": len(value),
        "hex": value.hex() if reveal else _HIDDEN,
        "decoded": jsonable(decoded.value) if reveal else _masked(decoded),
        "left_bytes": decoded.left_bytes,
        "note": decoded.note,
    }


def _masked(decoded: Decoded) -> Any:
    if decoded.value is None or decoded.pii is None:
        return None if decoded.value is None else _HIDDEN
    return jsonable(without_personal(decoded.value, decoded.pii))


def _text(content: bytes | None) -> str | None:
    """Bytes as text where they are some, else in hexadecimal."""
    if content is None:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return f"0x{content.hex()}"
    return text if text.isprintable() else f"0x{content.hex()}"
