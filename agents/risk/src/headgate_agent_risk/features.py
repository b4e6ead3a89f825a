"""Typed features of one event and of what is remembered of its account. Numbers, booleans and words of fixed lists."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from headgate_agent_toolkit.untrusted import instructs

from headgate_agent_risk.account import UNKNOWN_ACCOUNT, UNKNOWN_PAYER, compare
from headgate_agent_risk.amounts import AMOUNT_CAP, amount_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_schemas.agent import Event, Memory

    from headgate_agent_risk.policy import Policy

Features = dict[str, Any]

_COMMON = frozenset(
    {"event_type", "hour_utc", "night", "channel", "device", "country_risk", "note_present", "text_instructs"}
    | UNKNOWN_ACCOUNT.keys()
)
FEATURE_NAMES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "transaction": _COMMON
        | {"amount", "currency", "currency_listed", "amount_ratio", "merchant_class"}
        | UNKNOWN_PAYER.keys(),
        "login": _COMMON | {"login_failed"},
        "page_view": _COMMON | {"page_class"},
        "other": _COMMON,
    }
)
"""Names of the features by event type; ``other`` stands for every type the agent does not know."""

_CHANNELS = frozenset({"web", "mobile", "store", "api"})
_HOUR_MS = 3_600_000


class FeatureExtractor:
    """Computes the features of events under one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._country_risk = dict.fromkeys(policy.elevated_risk_countries, "elevated")
        self._country_risk.update(dict.fromkeys(policy.high_risk_countries, "high"))
        self._by_type: dict[str, Callable[[Features, Mapping[str, Any]], None]] = {
            "transaction": self._transaction,
            "login": self._login,
            "page_view": self._page_view,
        }

    def __call__(self, event: Event, memory: Memory | None) -> Features:
        """Compute the features of an event that keeps to its topic's rules.

        Args:
            event: The event.
            memory: What was remembered of its account before; without it nothing is new, and nothing has occurred.
        """
        attributes = event["payload"]["attributes"]
        event_type = event["event_type"]
        specific = self._by_type.get(event_type)
        hour = event["event_timestamp"] // _HOUR_MS % 24
        channel = attributes.get("channel")
        country = attributes.get("country")
        device = attributes.get("device_id")
        features = {
            "event_type": event_type if specific else "other",
            "hour_utc": hour,
            "night": hour in self._policy.night_hours_utc,
            "channel": channel if channel in _CHANNELS else "unknown",
            "device": "absent" if not device else self._device(device),
            "country_risk": self._country_risk.get(country, "normal") if country else "unknown",
            "note_present": bool(attributes.get("note")),
            "text_instructs": self._instructed(attributes),
            **UNKNOWN_ACCOUNT,
        }
        if specific:
            specific(features, attributes)
        if memory:
            compare(features, event, memory)
        return features

    def _device(self, device: str) -> str:
        return "automated" if device.startswith(self._policy.automated_device_prefixes) else "present"

    def _instructed(self, attributes: Mapping[str, Any]) -> bool:
        shortest = self._policy.instruction_min_chars
        for name in ("note", "merchant", "page"):
            text = attributes.get(name)
            if text and len(text) >= shortest and instructs(text):
                return True
        return False

    def _transaction(self, features: Features, attributes: Mapping[str, Any]) -> None:
        currency = attributes["currency"]
        listed = currency in self._policy.typical_amount
        features.update(
            amount=round(min(attributes["amount"], AMOUNT_CAP), 2),
            currency=currency if listed else "unlisted",
            currency_listed=listed,
            amount_ratio=amount_ratio(attributes, self._policy),
            merchant_class=self._merchant(attributes.get("merchant")),
            **UNKNOWN_PAYER,
        )

    def _merchant(self, merchant: str | None) -> str:
        if not merchant:
            return "absent"
        name = merchant.lower()
        return "cash_like" if any(word in name for word in self._policy.cash_like_words) else "ordinary"

    def _login(self, features: Features, attributes: Mapping[str, Any]) -> None:
        features["login_failed"] = attributes["outcome"] == "failure"

    def _page_view(self, features: Features, attributes: Mapping[str, Any]) -> None:
        page = attributes["page"].lower()
        if any(part in page for part in self._policy.probing_pages):
            features["page_class"] = "probing"
        elif any(part in page for part in self._policy.sensitive_pages):
            features["page_class"] = "sensitive"
        else:
            features["page_class"] = "ordinary"
