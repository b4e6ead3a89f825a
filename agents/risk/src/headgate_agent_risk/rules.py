"""Rules as data: conditions over features, a weight, and for some a floor under the decision."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from headgate_agent_toolkit.conditions import Test, When, compile_when
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from headgate_agent_risk.features import FEATURE_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Rule(BaseModel):
    """One rule; it holds when all its conditions do.

    Attributes:
        name: Unique; goes to the model as a signal.
        event_types: Types it is for; None for all, unknown ones included.
        when: Feature to value, or to bounds.
        weight: Contribution to the score, 0 to 1.
        floor: Least strict decision where it holds; None leaves it open.
        reason: Words for the record, no personal data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"[a-z_]+")]
    event_types: tuple[str, ...] | None = None
    when: Annotated[When, Field(min_length=1)]
    weight: Annotated[float, Field(gt=0, lt=1)]
    floor: Literal["flag_high_risk"] | None = None
    reason: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _features_exist(self) -> Self:
        for event_type in self.event_types or FEATURE_NAMES:
            known = FEATURE_NAMES.get(event_type)
            if known is None:
                raise ValueError(f"rule {self.name}: no event type {event_type}; known: {', '.join(FEATURE_NAMES)}")
            if unknown := self.when.keys() - known:
                raise ValueError(f"rule {self.name}: {event_type} has no feature {', '.join(sorted(unknown))}")
        return self


class RuleBook:
    """Rules compiled for evaluation; the rules that hold are the bits of one integer, in the order of ``rules``."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        if len({rule.name for rule in rules}) != len(rules):
            raise ValueError("two rules share a name; names must be unique")
        self.rules = tuple(rules)
        self._tests: dict[str, list[tuple[int, Test]]] = {
            event_type: [
                (1 << index, compile_when(rule.when))
                for index, rule in enumerate(rules)
                if rule.event_types is None or event_type in rule.event_types
            ]
            for event_type in FEATURE_NAMES
        }

    def fired(self, features: Mapping[str, Any]) -> int:
        """Evaluate the rules for an event's features; bit ``i`` of the result stands for ``rules[i]``."""
        mask = 0
        for bit, holds in self._tests[features["event_type"]]:
            if holds(features):
                mask |= bit
        return mask

    def of(self, mask: int) -> list[Rule]:
        """The rules whose bits are set."""
        return [rule for index, rule in enumerate(self.rules) if mask >> index & 1]


def load_rules() -> tuple[Rule, ...]:
    """Read the packaged ``rules.yaml``.

    Raises:
        ValueError: A rule is malformed or names a feature its event type does not have; the text names it.
    """
    text = files(__package__).joinpath("rules.yaml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[Rule, ...]).validate_python(yaml.safe_load(text))
