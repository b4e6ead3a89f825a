"""The agent's tolerances as data: what ends a session, who decides, and what follows from an intent."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Intent = Literal["browse", "buy", "automate", "probe", "takeover"]
Outcome = Literal["allow", "challenge", "flag_high_risk"]
PageClass = Literal["probing", "sensitive", "buying", "product"]
Share = Annotated[float, Field(ge=0, le=1)]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""Decisions, the laxest first."""
INTENTS: tuple[Intent, ...] = get_args(Intent)


class Policy(BaseModel):
    """Thresholds and lists; ``policy.yaml`` says what each is for.

    Attributes:
        decisions: What is done about each intent.
        least_risk: Least risk score of each decision.
        page_classes: Parts of a page's path by class, in the order they are tried.
        prompt_text_chars: Longest free text in a prompt by attribute, characters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    session_gap_minutes: Annotated[float, Field(gt=0)]
    grey_from: Share
    certain_from: Share
    fallback_from: Share
    fallback_confidence: Share
    decisions: dict[Intent, Outcome]
    least_risk: dict[Outcome, Share]
    high_priority_from: Share
    automated_device_prefixes: tuple[str, ...]
    page_classes: dict[PageClass, tuple[str, ...]]
    steady_below: Annotated[float, Field(gt=0)]
    prompt_text_chars: dict[Literal["page", "note"], Annotated[int, Field(ge=1)]]

    @model_validator(mode="after")
    def _complete_and_in_order(self) -> Self:
        if not self.grey_from <= self.fallback_from <= self.certain_from:
            raise ValueError(
                "keep grey_from <= fallback_from <= certain_from: else the fallback is laxer than the rules"
            )
        if missing := set(INTENTS) - self.decisions.keys() or set(OUTCOMES) - self.least_risk.keys():
            raise ValueError(f"decisions and least_risk need an entry for {', '.join(sorted(missing))}")
        risks = [self.least_risk[outcome] for outcome in OUTCOMES]
        if risks != sorted(risks):
            raise ValueError("a stricter decision must not have a lower least_risk")
        return self


def load_policy() -> Policy:
    """Read the packaged ``policy.yaml``.

    Raises:
        ValueError: A value is missing, unknown or out of range; the text names it.
    """
    text = files(__package__).joinpath("policy.yaml").read_text(encoding="utf-8")
    return Policy.model_validate(yaml.safe_load(text))
