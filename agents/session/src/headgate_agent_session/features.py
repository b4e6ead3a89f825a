"""Typed features of an event in its session. Numbers, booleans and words of fixed lists."""

from __future__ import annotations

from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from headgate_agent_toolkit.marks import mark
from headgate_agent_toolkit.untrusted import instructs

from headgate_agent_session.memory import PACES, page_class, remember

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headgate_schemas.agent import Event, Memory

    from headgate_agent_session.policy import Policy

Features = dict[str, Any]

FEATURE_NAMES = frozenset(
    {
        "event_type",
        "page_class",
        "login_failed",
        "device",
        "device_new",
        "text_instructs",
        "started_ms",
        "events",
        "minutes",
        "views",
        "products",
        "buying",
        "sensitive",
        "probing",
        "failures",
        "guessed",
        "per_minute",
        "steady",
    }
)

_TYPES = frozenset({"page_view", "login", "transaction"})
_MINUTE_MS = 60_000
_PACED_FROM = 4
_INSTRUCTION_MIN_CHARS = 18
_FASTEST_PER_MINUTE = 6_000.0


def extract(event: Event, memory: Memory | None, policy: Policy) -> Features:
    """Compute the features of an event that keeps to its topic's rules.

    Args:
        event: The event.
        memory: What was remembered of its account before it.
        policy: Lists and tolerances.
    """
    session = remember(memory, event, policy)
    attributes, event_type, counts = event["payload"]["attributes"], event["event_type"], session["counts"]
    page = attributes.get("page")
    return {
        "event_type": event_type if event_type in _TYPES else "other",
        "page_class": page_class(page, policy) if page else "none",
        "login_failed": event_type == "login" and attributes.get("outcome") == "failure",
        "device": _device(attributes.get("device_id"), policy),
        "device_new": _is_new(attributes, session["known"]),
        "text_instructs": _instructed(attributes),
        "started_ms": session["start_ms"],
        "events": session["events"],
        "minutes": round((session["last_ms"] - session["start_ms"]) / _MINUTE_MS, 1),
        "views": counts.get("views", 0),
        "products": counts.get("product", 0),
        "buying": counts.get("buying", 0) + counts.get("payments", 0),
        "sensitive": counts.get("sensitive", 0),
        "probing": counts.get("probing", 0),
        "failures": counts.get("failures", 0),
        "guessed": session["guessed"],
        **_pace(session["paces"], policy),
    }


def _device(device: str | None, policy: Policy) -> str:
    if not device:
        return "absent"
    return "automated" if device.startswith(policy.automated_device_prefixes) else "present"


def _is_new(attributes: Mapping[str, Any], known: Sequence[int]) -> bool:
    """Whether the account has used other devices before, and not this one."""
    device = attributes.get("device_id")
    return bool(device and known) and mark(attributes["user_id"], str(device)) not in known


def _pace(paces: Sequence[int], policy: Policy) -> Features:
    """How fast pages follow each other, and whether as evenly as a script's; nothing is said of the first few."""
    if len(paces) < _PACED_FROM:
        return {"per_minute": 0.0, "steady": False}
    mean = fmean(paces)
    if mean <= 0:
        return {"per_minute": _FASTEST_PER_MINUTE, "steady": len(paces) >= PACES}
    steady = len(paces) >= PACES and pstdev(paces) / mean < policy.steady_below
    return {"per_minute": min(round(_MINUTE_MS / mean, 1), _FASTEST_PER_MINUTE), "steady": steady}


def _instructed(attributes: Mapping[str, Any]) -> bool:
    texts = (attributes.get(name) for name in ("page", "note"))
    return any(text and len(text) >= _INSTRUCTION_MIN_CHARS and instructs(text) for text in texts)
