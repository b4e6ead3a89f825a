"""A stand-in for the model where there is none: tells an intent by the typed features of a fenced event.

The local Bedrock endpoint finds it under the group ``headgate.local_policies`` by the name of the agent's tool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_BELIEVED_FROM = 0.55
_SUPPORT = 0.15


def record_intent(features: Mapping[str, Any], tool_schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Tell the intent of fenced features: the rules' one where more than one thing speaks for it.

    Args:
        features: The fenced JSON object; what it lacks counts as unremarkable.
        tool_schema: JSON schema of the tool's arguments; only the fields it names are answered.
    """
    signals = [name for name in str(features.get("signals", "")).split(",") if name]
    risk = float(features.get("score", 0.0)) + _SUPPORT * (len(signals) - 1)
    risk += _SUPPORT if features.get("device") == "automated" else 0.0
    risk = round(min(max(risk, 0.02), 0.98), 2)
    believed = risk >= _BELIEVED_FROM
    harmless = "buy" if features.get("buying") else "browse"
    named = ", ".join(name.replace("_", " ") for name in signals) or "nothing unusual"
    answer: dict[str, Any] = {
        "intent": features.get("leading", harmless) if believed else harmless,
        "decision_reason": f"{'Speaks for it' if believed else 'Too little to go by'}: {named}.",
        "risk_score": risk,
        "confidence": round(0.5 + abs(risk - _BELIEVED_FROM) / 2, 2),
    }
    wanted = tool_schema.get("properties", answer)
    return {name: value for name, value in answer.items() if name in wanted}
