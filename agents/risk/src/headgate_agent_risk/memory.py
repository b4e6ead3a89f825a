"""What the agent remembers of an account: how much and how often, where from, and what went wrong, in about 300 bytes.

A memory is JSON. Counts and sums fade: after an hour (a day) without more, 37 % of an hour's (a day's) figure is left,
so that a figure near ``rate * window`` stands for a window without one entry an event. Devices and countries are kept
as short hashes that are salted with the account: they tell known from new, and do not give an identifier back.
"""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING, Any, NamedTuple

from headgate_agent_toolkit.marks import mark

from headgate_agent_risk.amounts import amount_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_schemas.agent import Event, Memory

    from headgate_agent_risk.policy import Policy

VERSION = 1
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
KEPT = 4
"""Devices, and countries, kept of an account: the last used ones."""

_START: Memory = {"v": VERSION, "events": 0, "seen_ms": 0, "devices": [], "countries": []}
_MOST = 1_000_000
_FAMILIAR_WEIGHT = 0.2
_LEAST_RATIO = 0.01
_MOST_RATIO = 10_000.0


class History(NamedTuple):
    """An account's memory as of a moment, for rules, prompts and tools; what is not known is 0.

    Attributes:
        events: Events before this one.
        quiet_hours: Hours since the last of them.
        payments: Payments before this one.
        payments_hour: Fading count of payments, an hour.
        payments_day: The same, a day.
        spent_day: Fading sum of payments, a day, in usual payments of their currency and channel.
        usual_ratio: Size of the account's ordinary payment, relative to the usual one.
        failed_hour: Fading count of failed logins, an hour.
        failed_day: The same, a day.
        devices: Devices known, at most ``KEPT``.
        countries: Countries known, at most ``KEPT``.
    """

    events: int = 0
    quiet_hours: float = 0.0
    payments: int = 0
    payments_hour: float = 0.0
    payments_day: float = 0.0
    spent_day: float = 0.0
    usual_ratio: float = 0.0
    failed_hour: float = 0.0
    failed_day: float = 0.0
    devices: int = 0
    countries: int = 0


NO_HISTORY = History()


def readable(memory: Memory | None) -> Memory | None:
    """The memory, or None where there is none or another version of the agent wrote it in another form."""
    return memory if memory is not None and memory.get("v") == VERSION else None


def history(memory: Memory | None, at_ms: int) -> History:
    """What is remembered of an account, as of an event's time in milliseconds since the epoch."""
    memory = readable(memory)
    if memory is None:
        return NO_HISTORY
    paid, failed = memory.get("paid"), memory.get("failed")
    hour, day = fading(paid["ms"], at_ms) if paid else (0.0, 0.0)
    failed_hour, failed_day = fading(failed["ms"], at_ms) if failed else (0.0, 0.0)
    return History(
        events=memory["events"],
        quiet_hours=round(max(0, at_ms - memory["seen_ms"]) / HOUR_MS, 1),
        payments=paid["n"] if paid else 0,
        payments_hour=round(paid["hour"] * hour, 2) if paid else 0.0,
        payments_day=round(paid["day"] * day, 2) if paid else 0.0,
        spent_day=round(paid["spent"] * day, 2) if paid else 0.0,
        usual_ratio=round(exp(paid["usual"]), 2) if paid else 0.0,
        failed_hour=round(failed["hour"] * failed_hour, 2) if failed else 0.0,
        failed_day=round(failed["day"] * failed_day, 2) if failed else 0.0,
        devices=len(memory["devices"]),
        countries=len(memory["countries"]),
    )


def remember(memory: Memory | None, event: Event, policy: Policy) -> Memory:
    """Give the memory of an account after an event; an event that comes late adds as if it came at the last one's time."""
    memory = readable(memory) or _START
    attributes, at_ms = event["payload"]["attributes"], event["event_timestamp"]
    account = attributes["user_id"]
    after = {
        **memory,
        "events": min(memory["events"] + 1, _MOST),
        "seen_ms": max(memory["seen_ms"], at_ms),
    }
    if device := attributes.get("device_id"):
        after["devices"] = _with(memory["devices"], mark(account, device))
    if country := attributes.get("country"):
        after["countries"] = _with(memory["countries"], mark(account, country))
    if event["event_type"] == "transaction":
        after["paid"] = _paid(memory.get("paid"), at_ms, amount_ratio(attributes, policy))
    elif event["event_type"] == "login" and attributes["outcome"] == "failure":
        after["failed"] = _failed(memory.get("failed"), at_ms)
    return after


def _with(known: list[int], found: int) -> list[int]:
    """The last used ones, the newest last; the same list where nothing changes."""
    if known and known[-1] == found:
        return known
    return [*(each for each in known if each != found), found][-KEPT:]


def _paid(before: Mapping[str, Any] | None, at_ms: int, ratio: float) -> dict[str, Any]:
    size = log(min(max(ratio, _LEAST_RATIO), _MOST_RATIO))
    if before is None:
        return {"n": 1, "ms": at_ms, "hour": 1.0, "day": 1.0, "spent": ratio, "usual": short(size)}
    hour, day = fading(before["ms"], at_ms)
    count = min(before["n"] + 1, _MOST)
    # The mean of the logarithms, of the last few payments: one extreme payment does not become the account's custom.
    weight = max(1 / count, _FAMILIAR_WEIGHT)
    return {
        "n": count,
        "ms": max(before["ms"], at_ms),
        "hour": short(before["hour"] * hour + 1),
        "day": short(before["day"] * day + 1),
        "spent": short(before["spent"] * day + ratio),
        "usual": short(before["usual"] + weight * (size - before["usual"])),
    }


def _failed(before: Mapping[str, Any] | None, at_ms: int) -> dict[str, Any]:
    if before is None:
        return {"ms": at_ms, "hour": 1.0, "day": 1.0}
    hour, day = fading(before["ms"], at_ms)
    return {
        "ms": max(before["ms"], at_ms),
        "hour": short(before["hour"] * hour + 1),
        "day": short(before["day"] * day + 1),
    }


def short(figure: float) -> float:
    """A figure with three digits after the point."""
    # Three digits, as round(figure, 3) gives them in four times the time.
    return round(figure * 1000) / 1000


def fading(since_ms: int, at_ms: int) -> tuple[float, float]:
    """What is left of an hour's and of a day's figure."""
    passed = max(0, at_ms - since_ms)
    return exp(-passed / HOUR_MS), exp(-passed / DAY_MS)
