"""The tool that ends a deliberation: it records what the session is after, and has no other effect."""

from __future__ import annotations

from typing import Annotated, Literal

from headgate_agent_toolkit.answers import AnswerTool
from pydantic import BaseModel, ConfigDict, Field

REASON_CHARS = 300
"""Longest reason that is recorded, characters; a longer one is cut."""


class RecordIntent(BaseModel):
    """Record what the session is after. Call this exactly once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    intent: Annotated[
        Literal["browse", "buy", "automate", "probe", "takeover"],
        Field(description="The one that explains the session best."),
    ]
    decision_reason: Annotated[
        str,
        Field(
            min_length=1,
            description="One sentence that names the features behind it. No personal data, no quotation.",
            json_schema_extra={"maxLength": REASON_CHARS},
        ),
    ]
    risk_score: Annotated[float, Field(ge=0, le=1, description="0 is safe, 1 is certain abuse.")]
    confidence: Annotated[float, Field(ge=0, le=1, description="How sure you are of the intent.")]


INTENT = AnswerTool("record_intent", RecordIntent)
