"""The demo's scripted reviewer: answers some reviews with the command line, as a person would today."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headgate_local.demo.verify import Later

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REVIEWER = "demo"
APPROVED, OVERRIDDEN = 3, 2
FLAGGED, ALLOWED = "flag_high_risk", "allow"


@dataclass(frozen=True)
class Reviewed:
    """What people were asked, and what the scripted one of them answered.

    Attributes:
        asked: How often each event was asked about.
        answers: Decision that each answered event should have from now on.
    """

    asked: Counter[str] = field(default_factory=Counter)
    answers: Mapping[str, str] = field(default_factory=dict)

    def faults(self, later: Mapping[str, Sequence[Later]]) -> dict[str, int]:
        """How often what is wrong: later rows, by event id, held against the answers."""
        right = {event: [Later(1, "human", decision)] for event, decision in self.answers.items()}
        return {
            "events were asked about more than once": sum(count > 1 for count in self.asked.values()),
            "answers are not one later row with revision 1": sum(
                later.get(event) != rows for event, rows in right.items()
            ),
            "later rows answer no review": sum(len(rows) for event, rows in later.items() if event not in right),
        }


def answer_some(decisions: Mapping[str, str], command: Callable[..., str]) -> dict[str, str]:
    """Approve and override a few of the reviews that wait.

    Args:
        decisions: What was decided on the events that are asked about, by event id.
        command: Runs the command line, and gives what it prints.

    Returns:
        The decision each answered event has from now on.
    """
    overridden = [event for event, decision in decisions.items() if decision == FLAGGED][:OVERRIDDEN]
    approved = [event for event in decisions if event not in overridden][:APPROVED]
    calls = [
        ("review", "approve", *approved, "--comment", "Looked at it: as decided."),
        ("review", "override", *overridden, "--comment", "Looked at it: no abuse.", "--decision", ALLOWED),
    ]
    wanted = [call for call, events in zip(calls, (approved, overridden), strict=True) if events]
    with ThreadPoolExecutor(len(calls)) as pool:
        printed = pool.map(lambda call: command(*call, "--reviewer", REVIEWER, "--json"), wanted)
        answered = [each for text in printed for each in json.loads(text)["answered"]]
    return {each["event_id"]: each["decision"] for each in answered}
