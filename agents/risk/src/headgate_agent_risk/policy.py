"""The agent's tolerances as data: thresholds, usual amounts, lists, and how much text a prompt may carry."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
TextField = Literal["note", "merchant", "page"]


class ReviewPolicy(BaseModel):
    """Which decisions a person should see as well.

    Attributes:
        high_value_from: Size of a payment from which on it is seen, whoever decided; multiples of the usual one.
        uncertain_below: Confidence of rules or model below which a decision is seen.
        fallback_margin: A fallback's decision is seen where the rules' score is closer than this to where it flags.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    high_value_from: Annotated[float, Field(gt=0)]
    uncertain_below: Share
    fallback_margin: Share


class Policy(BaseModel):
    """Thresholds and lists; ``policy.yaml`` says what each is for.

    Attributes:
        typical_amount: Usual payment by ISO 4217 code, in units of the currency.
        channel_factor: Usual size relative to that, by channel.
        prompt_text_chars: Longest free text in a prompt by attribute, characters.
        tools: Allow-list of the tools a model may call before it decides.
        tool_time_limit_s: Longest time of one such call.
        review: Which decisions a person should see as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    grey_from: Share
    flag_from: Share
    risk_flag_from: Share
    fallback_flag_from: Share
    fallback_confidence: Share
    night_hours_utc: frozenset[Annotated[int, Field(ge=0, le=23)]]
    typical_amount: dict[str, Annotated[float, Field(gt=0)]]
    channel_factor: dict[str, Annotated[float, Field(gt=0)]]
    high_risk_countries: frozenset[str]
    elevated_risk_countries: frozenset[str]
    automated_device_prefixes: tuple[str, ...]
    cash_like_words: tuple[str, ...]
    probing_pages: tuple[str, ...]
    sensitive_pages: tuple[str, ...]
    instruction_min_chars: Annotated[int, Field(ge=1)]
    prompt_text_chars: dict[TextField, Annotated[int, Field(ge=1)]]
    tools: tuple[str, ...]
    tool_time_limit_s: Annotated[float, Field(gt=0, le=1)]
    review: ReviewPolicy

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> Self:
        if not self.grey_from <= self.fallback_flag_from <= self.risk_flag_from <= self.flag_from:
            raise ValueError(
                "keep grey_from <= fallback_flag_from <= risk_flag_from <= flag_from: else a score says otherwise than its decision"
            )
        return self


def load_policy() -> Policy:
    """Read the packaged ``policy.yaml``.

    Raises:
        ValueError: A value is missing, unknown or out of range; the text names it.
    """
    text = files(__package__).joinpath("policy.yaml").read_text(encoding="utf-8")
    return Policy.model_validate(yaml.safe_load(text))
