"""State of the two graphs: a micro-batch for triage, one grey event for deliberation."""

# ruff: noqa: TC001, TC002, TC003 - LangGraph reads these annotations at run time

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict

from headgate_schemas.agent import Decision, Event, GreyCase, Usage
from langchain_core.messages import BaseMessage

from headgate_agent_risk.features import Features
from headgate_agent_risk.scoring import Assessment
from headgate_agent_risk.tools import RecordDecision


class TriageState(TypedDict):
    """A micro-batch; every list has one entry an event, in the order of ``events``."""

    events: Sequence[Event]
    features: NotRequired[list[Features]]
    fired: NotRequired[list[int]]
    assessments: NotRequired[list[Assessment]]
    results: NotRequired[list[Decision | GreyCase]]


class DeliberationState(TypedDict):
    """One grey event on its way through the model.

    Attributes:
        case: The event, its features and the rules' floor.
        messages: The conversation so far.
        prompt_hash: SHA-256 of the first prompt, hexadecimal.
        usage: What all calls so far used.
        verdict: The model's decision, valid but not yet guarded.
        decision: The outcome.
    """

    case: GreyCase
    messages: NotRequired[list[BaseMessage]]
    prompt_hash: NotRequired[str]
    usage: NotRequired[Usage]
    verdict: NotRequired[RecordDecision]
    decision: NotRequired[Decision]
