"""A stand-in for the model where there is none: decides by the typed features of a fenced event.

The local Bedrock endpoint finds it under the groups ``headgate.local_policies`` and ``headgate.local_preparations``
by the name of the agent's tool.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_FLAG_FROM = 0.5
_HIGH_FROM = 0.8
_UNSURE = 0.08
_CUSTOM_FROM = 3
_RARE_PERCENTILE = 99
EXTERNAL = "reference__lookup_merchant"
"""The external tool of the documentation's example; where it is not configured it is not offered, and not called."""
_MERCHANT: Mapping[str, float] = MappingProxyType({"high": 0.1, "elevated": 0.05})
_ABUSE = ("text_instructs", "payment_by_script", "login_by_script", "probing_page", "large_payment_from")
_SUPPORTING: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "device": {"automated": 0.3, "present": -0.1},
        "country_risk": {"high": 0.3, "elevated": 0.15, "normal": -0.1},
        "device_new": {"True": 0.1},
        "country_new": {"True": 0.15},
        "merchant_class": {"cash_like": 0.3},
        "page_class": {"probing": 0.4, "sensitive": 0.1},
    }
)


def look_up_first(features: Mapping[str, Any], results: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Name the tools to call before deciding: none but where what they know could tip the balance.

    Args:
        features: The fenced JSON object.
        results: What tools answered already; they are asked once.
    """
    if results or abs(_risk(features) - _FLAG_FROM) > _UNSURE:
        return {}
    calls: dict[str, Mapping[str, Any]] = {"account_history": {}}
    if features.get("event_type") == "transaction":
        calls["peer_statistics"] = {}
        if features.get("merchant"):
            calls[EXTERNAL] = {"name": features["merchant"]}
            calls["merchant_reference"] = {}
        if features.get("currency") != "unlisted":
            calls["currency_reference"] = {"currency": features.get("currency")}
    return calls


def record_decision(features: Mapping[str, Any], tool_schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Decide on fenced features as a careful analyst would: one oddity alone passes, several together do not.

    Args:
        features: The fenced JSON object, with ``tool_results`` where tools were called; what it lacks counts as unremarkable.
        tool_schema: JSON schema of the tool's arguments; only the fields it names are answered.
    """
    signals = _signals(features)
    risk = _risk(features) + _tipped(features, features.get("tool_results") or {})
    risk = round(min(max(risk, 0.02), 0.98), 2)
    flagged = risk >= _FLAG_FROM
    answer: dict[str, Any] = {
        "decision": "flag_high_risk" if flagged else "allow",
        "decision_reason": _reason(signals, flagged=flagged),
        "risk_score": risk,
        "priority": "low" if not flagged else "high" if risk >= _HIGH_FROM else "medium",
        "confidence": round(0.5 + abs(risk - _FLAG_FROM), 2),
    }
    wanted = tool_schema.get("properties", answer)
    return {name: value for name, value in answer.items() if name in wanted}


def _signals(features: Mapping[str, Any]) -> list[str]:
    return [name for name in str(features.get("signals", "")).split(",") if name]


def _risk(features: Mapping[str, Any]) -> float:
    signals = _signals(features)
    risk = 0.6 * float(features.get("score", 0.0))
    risk += sum(weights.get(str(features.get(name)), 0.0) for name, weights in _SUPPORTING.items())
    if features.get("night") is True and len(signals) > 1:
        risk += 0.05
    return max(risk, 0.7) if any(name.startswith(_ABUSE) for name in signals) else risk


def _tipped(features: Mapping[str, Any], results: Mapping[str, Any]) -> float:
    """What tools add to the risk: custom of the account lowers it, what the amount and its receiver are may raise it."""
    account = results.get("account_history") or {}
    merchant = results.get("merchant_reference") or {}
    peers = results.get("peer_statistics") or {}
    ratio, usual = float(features.get("amount_ratio") or 0.0), float(account.get("usual_ratio") or 0.0)
    tipped = -0.15 if account.get("payments", 0) >= _CUSTOM_FROM and 0 < ratio <= 2 * usual else 0.0
    tipped += _MERCHANT.get(str(merchant.get("risk")), 0.0)
    tipped += 0.05 if float(peers.get("percentile") or 0.0) >= _RARE_PERCENTILE else 0.0
    return tipped


def _reason(signals: list[str], *, flagged: bool) -> str:
    named = ", ".join(name.replace("_", " ") for name in signals) or "nothing unusual"
    return f"Signals that support each other: {named}." if flagged else f"Nothing supports what stands out: {named}."
