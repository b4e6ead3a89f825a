"""What an account's last closed windows came to, as far as they say anything about an event."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_schemas.agent import Profile, Window

    from headgate_agent_risk.policy import Policy

WINDOWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "last_10m": "account_activity_10m",
        "last_1h": "account_activity_1h",
        "last_24h": "account_activity_24h",
    }
)
"""The windows of the shipped definition that are looked at, by what they are called here."""
_AMOUNT: Final = "amount."
_MINUTE_MS: Final = 60_000


class WindowHistory(BaseModel):
    """What a closed window of an account came to; it counts what the account did, whoever decided on it.

    Attributes:
        spent: Sum of the payments, in usual ones of their currencies; a currency without a usual payment is left out.
        merchants: Different ones, at most as many as the definition counts; ``countries``, ``devices`` likewise.
        minutes_ago: From the end of the window to the event.
    """

    model_config = ConfigDict(frozen=True)

    payments: int
    spent: float
    failed_logins: int
    merchants: int
    countries: int
    devices: int
    minutes_ago: float


def last_windows(profile: Profile, at_ms: int, policy: Policy) -> dict[str, WindowHistory]:
    """Give the windows that are of use to an event at a time, by what they are called here.

    A window that ends behind the event may count the event itself, or later ones. One that ended longer ago than it is
    long has nothing to do with what came right before the event.

    Args:
        profile: The account's windows.
        at_ms: The event's time, milliseconds since the epoch.
        policy: Usual payments by currency.
    """
    found = ((name, profile.get(window)) for name, window in WINDOWS.items())
    return {
        name: _told(window, at_ms, policy)
        for name, window in found
        if window is not None and 0 <= at_ms - window.end_ms <= window.end_ms - window.start_ms
    }


def _told(window: Window, at_ms: int, policy: Policy) -> WindowHistory:
    counts, usual = window.counts, policy.typical_amount
    sums = ((name.removeprefix(_AMOUNT), total) for name, total in window.sums.items() if name.startswith(_AMOUNT))
    return WindowHistory(
        payments=counts.get("payments", 0),
        spent=round(sum(total / usual[currency] for currency, total in sums if currency in usual), 2),
        failed_logins=counts.get("failed_logins", 0),
        merchants=counts.get("merchants", 0),
        countries=counts.get("countries", 0),
        devices=counts.get("devices", 0),
        minutes_ago=round((at_ms - window.end_ms) / _MINUTE_MS, 1),
    )
