"""The golden set: sessions with what should become of their last event, and what the agent makes of them.

The model is left out, as it is in an outage: grey events are decided by the fallback, and a floor is found by giving
the guard the laxest answer a model can give.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from headgate_schemas.agent import Decision, GreyCase, Usage
from pydantic import BaseModel, ConfigDict, Field

from headgate_agent_session.guard import fall_back, guard
from headgate_agent_session.memory import remember
from headgate_agent_session.policy import Intent, Outcome
from headgate_agent_session.tools import RecordIntent
from headgate_agent_session.triage import Triage

if TYPE_CHECKING:
    from headgate_agent_session.context import SessionContext

_START_MS = 1_760_018_400_000
_FOOLED = RecordIntent(intent="browse", decision_reason="All is well.", risk_score=0.0, confidence=1.0)
"""The laxest answer a model can give, as one that was talked into it would."""


class Step(BaseModel):
    """Events of a session that are alike.

    Attributes:
        type: Event type.
        after_s: Seconds since the event before.
        times: How many; ``{n}`` in a page is the number of each.
        known: Attributes other than the user's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["page_view", "login", "transaction"]
    after_s: float = Field(default=20.0, ge=0)
    times: int = Field(default=1, ge=1)
    known: dict[str, Any] = {}


class GoldenCase(BaseModel):
    """A session with what should become of its last event.

    Attributes:
        name: Unique.
        why: The reason for the expectation, for whoever has to change it.
        intent: What a careful person would say the session is after.
        decision: What follows from that.
        triage: What the rules do: decide, or hand it on as grey.
        floor: The least strict decision anyone may take.
        steps: The session, and those before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    why: str
    intent: Intent
    decision: Outcome
    triage: Outcome | Literal["grey"]
    floor: Outcome
    steps: tuple[Step, ...] = Field(min_length=1)

    def events(self) -> list[dict[str, Any]]:
        """The session as events of ``base_event``."""
        found: list[dict[str, Any]] = []
        at_ms = _START_MS
        for step in self.steps:
            for number in range(step.times):
                at_ms += round(step.after_s * 1000)
                found.append(_event(f"{self.name}-{len(found)}", step, number, at_ms))
        return found


def load_golden() -> list[GoldenCase]:
    """Read ``golden.jsonl``.

    Raises:
        ValueError: A line is malformed; the text names the field.
    """
    lines = files(__package__).joinpath("golden.jsonl").read_text(encoding="utf-8").splitlines()
    return [GoldenCase.model_validate(json.loads(line)) for line in lines]


def surprises(context: SessionContext, cases: list[GoldenCase]) -> list[str]:
    """What came out otherwise than it should, one line each; empty where the agent passes."""
    triage = Triage(context.rules, context.policy)
    return [line for case in cases if (line := _surprise(context, triage, case))]


def _surprise(context: SessionContext, triage: Triage, case: GoldenCase) -> str | None:
    memory = None
    *before, last = case.events()
    for event in before:
        memory = remember(memory, event, context.policy)
    result = triage(last, memory)
    decided, laxest, routed = result, result, "grey"
    if isinstance(result, GreyCase):
        decided = fall_back(result, "evaluation", context.policy)
        laxest = guard(_FOOLED, result, context.policy, context.masker, prompt_hash="", usage=Usage())
    else:
        routed = result.decision
    assert isinstance(decided, Decision)  # noqa: S101 - for the type checker
    assert isinstance(laxest, Decision)  # noqa: S101 - the same
    found = (decided.fields["session"]["intent"], decided.decision, routed, laxest.decision)
    wanted = (case.intent, case.decision, case.triage, case.floor)
    if found == wanted:
        return None
    signals = result.features["signals"] if isinstance(result, GreyCase) else result.decision_reason
    return f"{case.name}: intent, decision, triage, floor are {found}; wanted {wanted} ({case.why}; {signals})"


def _event(event_id: str, step: Step, number: int, at_ms: int) -> dict[str, Any]:
    names = ("amount", "currency", "merchant", "country", "device_id", "channel", "outcome", "page", "note")
    attributes = {"user_id": "customer-4711", **dict.fromkeys(names), "channel": "web", **step.known}
    if attributes["page"]:
        attributes["page"] = attributes["page"].replace("{n}", str(number))
    return {
        "event_id": event_id,
        "event_type": step.type,
        "source_system": "golden",
        "event_timestamp": at_ms,
        "payload": {"attributes": attributes},
    }
