"""The running session of an account as it is remembered: what was looked at and tried, how fast, from where.

A memory is JSON of less than 400 bytes. Events that come late count towards the running session at its last event's
time. Devices are kept as short hashes that are salted with the account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headgate_agent_toolkit.marks import mark

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_schemas.agent import Event, Memory

    from headgate_agent_session.policy import Policy

VERSION = 1
PACES = 8
"""Times between page views that are kept, the last ones."""
DEVICES = 3
"""Devices kept of the running session, and of those before it."""
GUESSED_FROM = 3
"""Failed logins in a row before one that succeeds from which on the password counts as guessed."""

_MINUTE_MS = 60_000
_MOST = 1_000_000


def page_class(page: str, policy: Policy) -> str:
    """The class of a page; ``ordinary`` where no other matches."""
    path = page.lower()
    for name, parts in policy.page_classes.items():
        for part in parts:  # any() over a generator would cost three times as much an event
            if part in path:
                return name
    return "ordinary"


def remember(memory: Memory | None, event: Event, policy: Policy) -> dict[str, Any]:
    """Give the memory of an account after an event."""
    attributes, at_ms = event["payload"]["attributes"], event["event_timestamp"]
    session = _session(memory, at_ms, policy)
    event_type = event["event_type"]
    session["last_ms"] = max(session["last_ms"], at_ms)
    session["events"] = min(session["events"] + 1, _MOST)
    failed = event_type == "login" and attributes.get("outcome") == "failure"
    if event_type == "page_view":
        _view(session, attributes.get("page") or "", policy)
    elif event_type == "login":
        _login(session, failed=failed)
    elif event_type == "transaction":
        _count(session, "payments")
    if (device := attributes.get("device_id")) and not failed:
        found = mark(attributes["user_id"], device)
        session["devices"] = [*(each for each in session["devices"] if each != found), found][-DEVICES:]
    return session


def _session(memory: Memory | None, at_ms: int, policy: Policy) -> dict[str, Any]:
    """A copy of the running session, or a new one where that has ended."""
    if memory is None or memory.get("v") != VERSION:
        return _started(at_ms, [])
    if at_ms - memory["last_ms"] <= policy.session_gap_minutes * _MINUTE_MS:
        return {**memory, "counts": dict(memory["counts"])}
    # Devices of a session whose password was guessed are not the account's own.
    known = memory["known"] if memory["guessed"] else [*memory["known"], *memory["devices"]]
    return _started(at_ms, list(dict.fromkeys(reversed(known)))[:DEVICES][::-1])


def _started(at_ms: int, known: list[int]) -> dict[str, Any]:
    return {
        "v": VERSION,
        "start_ms": at_ms,
        "last_ms": at_ms,
        "events": 0,
        "counts": {},
        "viewed_ms": None,
        "paces": [],
        "row": 0,
        "guessed": 0,
        "devices": [],
        "known": known,
    }


def _view(session: dict[str, Any], page: str, policy: Policy) -> None:
    _count(session, "views")
    _count(session, page_class(page, policy))
    if session["viewed_ms"] is not None:
        session["paces"] = [*session["paces"], session["last_ms"] - session["viewed_ms"]][-PACES:]
    session["viewed_ms"] = session["last_ms"]


def _login(session: dict[str, Any], *, failed: bool) -> None:
    _count(session, "failures" if failed else "logins")
    if failed:
        session["row"] = min(session["row"] + 1, _MOST)
        return
    if session["row"] >= GUESSED_FROM:
        session["guessed"] = session["row"]
    session["row"] = 0


def _count(session: Mapping[str, Any], name: str) -> None:
    counts = session["counts"]
    counts[name] = min(counts.get(name, 0) + 1, _MOST)
