"""The golden set and its bounds, as stored beside this module."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

Verdict = Literal["allow", "flag_high_risk"]


class GoldenCase(BaseModel):
    """One event with what should become of it.

    Attributes:
        name: Unique.
        why: The reason for the expectation, for whoever has to change it.
        decision: What a careful person would decide.
        triage: What the rules do: decide, or hand it on as grey.
        floor: The least strict decision anyone may take.
        event: The event, a ``base_event``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    why: str
    decision: Verdict
    triage: Verdict | Literal["grey"]
    floor: Verdict
    event: dict[str, Any]


class Bound(BaseModel):
    """The range a figure must keep to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_least: float | None = None
    at_most: float | None = None

    def holds(self, value: float | None) -> bool:
        """Tell whether a figure keeps to the bound; one that could not be computed does not."""
        if value is None:
            return False
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        return " and ".join(
            f"{sign} {limit:g}" for sign, limit in ((">=", self.at_least), ("<=", self.at_most)) if limit is not None
        )


def load_golden() -> list[GoldenCase]:
    """Read ``golden.jsonl``.

    Raises:
        ValueError: A line is malformed; the text names the field.
    """
    lines = files(__package__).joinpath("golden.jsonl").read_text(encoding="utf-8").splitlines()
    return [GoldenCase.model_validate(json.loads(line)) for line in lines]


def load_bounds() -> dict[str, dict[str, Bound]]:
    """Read ``bounds.yaml``: report, figure, bound."""
    text = files(__package__).joinpath("bounds.yaml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, dict[str, Bound]]).validate_python(yaml.safe_load(text))
