"""Rules as data: conditions over features that speak for an intent, with a weight, and for some a floor."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Literal, Self

import yaml
from headgate_agent_toolkit.conditions import When
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from headgate_agent_session.features import FEATURE_NAMES


class Rule(BaseModel):
    """One rule; it holds when all its conditions do.

    Attributes:
        name: Unique; goes to the model as a signal.
        intent: What it speaks for.
        when: Feature to value, or to bounds.
        weight: Contribution to the intent's score, 0 to 1.
        floor: Least strict decision where it holds; None leaves it open.
        reason: Words for the record, no personal data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"[a-z_]+")]
    intent: Literal["automate", "probe", "takeover"]
    when: Annotated[When, Field(min_length=1)]
    weight: Annotated[float, Field(gt=0, lt=1)]
    floor: Literal["challenge", "flag_high_risk"] | None = None
    reason: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _features_exist(self) -> Self:
        if unknown := self.when.keys() - FEATURE_NAMES:
            raise ValueError(f"rule {self.name}: there is no feature {', '.join(sorted(unknown))}")
        return self


def load_rules() -> tuple[Rule, ...]:
    """Read the packaged ``rules.yaml``.

    Raises:
        ValueError: A rule is malformed, names a feature there is not, or has another one's name; the text says which.
    """
    text = files(__package__).joinpath("rules.yaml").read_text(encoding="utf-8")
    rules = TypeAdapter(tuple[Rule, ...]).validate_python(yaml.safe_load(text))
    if len({rule.name for rule in rules}) != len(rules):
        raise ValueError("two rules share a name; names must be unique")
    return rules
