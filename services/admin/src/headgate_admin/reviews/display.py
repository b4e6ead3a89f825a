"""Reviews for people: one line each, or all of one; personal data only where it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, Any

from headgate_schemas import with_replaced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headgate_admin.reviews.queue import Review

COLUMNS = ("event", "asked", "why", "decision", "by", "risk", "sure", "reason")
_HIDDEN = "(personal)"
_SHOWN_CHARS = 300


def summary(review: Review) -> dict[str, Any]:
    """What a list says of a review."""
    decided, asked = review.value["agent_metadata"], review.value["review"]
    return {
        "event_id": review.event_id,
        "requested_at": asked["requested_at"],
        "review_reason": asked["reason"],
        "decision": decided["decision"],
        "tier": decided["tier"],
        "risk_score": decided["risk_score"],
        "confidence": decided["confidence"],
        "decision_reason": decided["decision_reason"],
    }


def row(document: Mapping[str, Any]) -> list[str]:
    """A summary as cells under ``COLUMNS``."""
    asked = datetime.fromtimestamp(document["requested_at"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return [readable(value) for value in {**document, "requested_at": asked}.values()]


def without_personal(value: Mapping[str, Any], pii: Mapping[str, str]) -> dict[str, Any]:
    """A copy of a record's value without what its schema tags as naming a person."""
    hidden = (path for path, kind in pii.items() if kind == "direct")
    return reduce(lambda kept, path: with_replaced(kept, path, _HIDDEN), hidden, dict(value))


def lines(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """A value field by field, what is null left out; a list of records one line an item."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from lines(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield path, readable(" ".join(map(str, item.values())) if isinstance(item, dict) else item)
    elif value is not None:
        yield path, readable(value)


def readable(value: object) -> str:
    """A value on one short line; what a terminal would obey rather than show is replaced."""
    text = str(value)[:_SHOWN_CHARS]
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
