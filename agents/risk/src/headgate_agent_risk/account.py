"""Features of an event beside what is remembered of its account."""

from __future__ import annotations

from math import exp
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from headgate_agent_toolkit.marks import mark

from headgate_agent_risk.memory import fading, readable, short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_schemas.agent import Event, Memory

UNKNOWN_ACCOUNT: Mapping[str, Any] = MappingProxyType(
    {"device_new": False, "country_new": False, "failed_logins_hour": 0.0}
)
"""Features of every event while its account is not known: nothing is new and nothing has occurred."""
UNKNOWN_PAYER: Mapping[str, Any] = MappingProxyType({"account_ratio": 0.0, "payments_hour": 0.0, "spent_day": 0.0})
"""Those a payment has besides."""

_CUSTOM_FROM = 3
"""Payments it takes until an account has a usual one."""


def compare(features: dict[str, Any], event: Event, memory: Memory) -> None:
    """Put what the memory of its account says into an event's features.

    Args:
        features: The event's own features, and those of an unknown account.
        event: The event.
        memory: What was remembered of its account before it.
    """
    known = readable(memory)
    if known is None:
        return
    attributes, at_ms = event["payload"]["attributes"], event["event_timestamp"]
    account = attributes["user_id"]
    if (device := attributes.get("device_id")) and (devices := known["devices"]):
        features["device_new"] = mark(account, device) not in devices
    if (country := attributes.get("country")) and (countries := known["countries"]):
        features["country_new"] = mark(account, country) not in countries
    if failed := known.get("failed"):
        features["failed_logins_hour"] = short(failed["hour"] * fading(failed["ms"], at_ms)[0])
    if features["event_type"] == "transaction" and (paid := known.get("paid")):
        hour, day = fading(paid["ms"], at_ms)
        features["payments_hour"] = short(paid["hour"] * hour)
        features["spent_day"] = short(paid["spent"] * day)
        if paid["n"] >= _CUSTOM_FROM:
            features["account_ratio"] = short(features["amount_ratio"] / exp(paid["usual"]))
