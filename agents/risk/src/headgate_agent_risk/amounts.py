"""How large a payment is, relative to what is usual for its currency and channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_agent_risk.policy import Policy

AMOUNT_CAP = 1e12
"""Larger amounts, the infinite one included, count as this one."""


def amount_ratio(attributes: Mapping[str, Any], policy: Policy) -> float:
    """A payment's amount relative to the usual one, rounded; 0 where no usual one is known for the currency."""
    typical = policy.typical_amount.get(attributes["currency"])
    if not typical:
        return 0.0
    usual = typical * policy.channel_factor.get(attributes.get("channel") or "", 1.0)
    amount: float = min(attributes["amount"], AMOUNT_CAP)
    return round(amount / usual, 2)
