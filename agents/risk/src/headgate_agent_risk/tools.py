"""The tool that ends a deliberation: it records the decision, and has no other effect."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from headgate_agent_toolkit.answers import AnswerTool
from pydantic import BaseModel, ConfigDict, Field

TOOL_NAME = "record_decision"
REASON_CHARS = 300
"""Longest reason that is recorded, characters; a longer one is cut, for asking again would cost more than it is worth."""


class RecordDecision(BaseModel):
    """Record the decision on the event. Call this exactly once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    decision: Annotated[
        Literal["allow", "flag_high_risk"],
        Field(description="allow: let it pass. flag_high_risk: hold it for people to look at."),
    ]
    decision_reason: Annotated[
        str,
        Field(
            min_length=1,
            description="One sentence that names the features behind the decision. No personal data, no quotation.",
            json_schema_extra={"maxLength": REASON_CHARS},
        ),
    ]
    risk_score: Annotated[float, Field(ge=0, le=1, description="0 is safe, 1 is certain fraud or abuse.")]
    priority: Annotated[
        Literal["low", "medium", "high"], Field(description="How soon a person should look at it, were it flagged.")
    ]
    confidence: Annotated[float, Field(ge=0, le=1, description="How sure you are of the decision.")]


DECISION = AnswerTool(TOOL_NAME, RecordDecision)


def tool_schema() -> dict[str, Any]:
    """The tool as chat models take it."""
    return DECISION.schema()
