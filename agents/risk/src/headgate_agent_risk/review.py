"""Which decisions a person should see as well, and why; nothing waits for the person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_agent_risk.policy import ReviewPolicy

HIGH_VALUE: Final = "high_value"
DISAGREE: Final = "model_and_rules_disagree"
UNCERTAIN: Final = "uncertain"


def review_reason(
    features: Mapping[str, Any], policy: ReviewPolicy, *, unsure: bool, overruled: bool = False
) -> str | None:
    """Say why a person should see a decision; None where nobody has to.

    Args:
        features: Of the event.
        policy: From when on a payment is one of high value.
        unsure: Whoever decided was not sure.
        overruled: The rules did not let a model's decision stand.
    """
    if features.get("amount_ratio", 0.0) >= policy.high_value_from:
        return HIGH_VALUE
    if overruled:
        return DISAGREE
    return UNCERTAIN if unsure else None
