"""State of the two graphs: a micro-batch for triage, one grey event for deliberation."""

# ruff: noqa: TC001, TC002, TC003 - LangGraph reads these annotations at run time

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

from headgate_schemas.agent import Decision, Event, Evidence, GreyCase, Memory, Usage
from langchain_core.messages import BaseMessage, ToolCall

from headgate_agent_risk.features import Features
from headgate_agent_risk.scoring import Assessment


class TriageState(TypedDict):
    """A micro-batch; every list has one entry an event, in the order of ``events``."""

    events: Sequence[Event]
    memories: Sequence[Memory | None]
    features: NotRequired[list[Features]]
    fired: NotRequired[list[int]]
    assessments: NotRequired[list[Assessment]]
    results: NotRequired[list[Decision | GreyCase]]


@dataclass(frozen=True, slots=True)
class Talk:
    """The conversation about one event so far.

    Attributes:
        messages: All of it, the model's replies included.
        prompt_hash: SHA-256 of the first prompt, hexadecimal.
        usage: What all calls so far used.
        repaired: The model was told once that its answer was not valid.
        evidence: What tools said.
        unlisted: Calls of tools that are not on the allow-list, all refused.
    """

    messages: tuple[BaseMessage, ...]
    prompt_hash: str
    usage: Usage = field(default_factory=Usage)
    repaired: bool = False
    evidence: tuple[Evidence, ...] = ()
    unlisted: int = 0


class DeliberationState(TypedDict):
    """One grey event on its way through the model; few channels, for each costs time in every step.

    Attributes:
        case: The event, its features and the rules' floor.
        talk: The conversation; absent before the first call.
        calls: Calls of tools that wait for their answer.
        decision: The outcome.
    """

    case: GreyCase
    talk: NotRequired[Talk]
    calls: NotRequired[list[ToolCall]]
    decision: NotRequired[Decision]
