"""What the enricher's parts hand to each other: an event on its way, and what came of asking the model."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headgate_schemas.agent import Decision, Event, GreyCase, Memory

from headgate_enricher.gateway.spending import NOTHING_SPENT, Spent
from headgate_enricher.lanes import Lanes

if TYPE_CHECKING:
    from headgate_runtime.records import Record, TopicPartition
    from headgate_runtime.state import PartitionState

    from headgate_enricher.progress import PartitionProgress
    from headgate_enricher.routing import Decider

    Change = tuple[PartitionState[Memory], bytes, Memory | None]


class AgentFaultError(Exception):
    """The agent's code failed on an event, or its decision breaks the output's contract: the event is dead-lettered.

    Attributes:
        field: Path of the output field that broke a rule.
        rule: Name of the rule.
    """

    def __init__(self, message: str, field: str | None = None, rule: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.rule = rule


Triaged = Decision | GreyCase | AgentFaultError
NOT_TRIAGED = AgentFaultError("The event was not triaged.")


@dataclass(slots=True, eq=False)
class Work:
    """An event between its arrival and its commit.

    Attributes:
        partition: The assigned partition it came from.
        record: The record it came in.
        event: The record's value, decoded.
        deadline_s: Monotonic time by which the model must have answered.
        decider: The agent that decides on it.
        triaged: What triage made of it, or what went wrong there.
        memory: What the agent that decides remembered of the key before the event.
        changes: What agents remember after it, where that is something else; committed with the event's output.
    """

    partition: Partition
    record: Record
    event: Event
    deadline_s: float
    decider: Decider
    triaged: Triaged = NOT_TRIAGED
    memory: Memory | None = None
    changes: tuple[Change, ...] = ()

    def stage_memory(self) -> None:
        """Let what is remembered after the event be committed with what becomes of it."""
        for memories, key, memory in self.changes:
            memories.stage(key, memory)


@dataclass(slots=True, eq=False)
class Partition:
    """An assigned partition; events that outlive the assignment hold a dead one and are dropped.

    Attributes:
        source: Topic and partition number.
        progress: Watermark and done-set.
        memories: What each agent remembers, by key, at the agent's place.
        lanes: Order within keys.
        at_model: Events the model is deciding now.
        done_bytes: Size of the done-set at the last commit.
        arrivals: When a batch of its records came, in monotonic seconds, and the offset of the batch's last record;
            until the watermark has passed that and is committed.
    """

    source: TopicPartition
    progress: PartitionProgress
    memories: tuple[PartitionState[Memory], ...]
    lanes: Lanes[Work] = field(default_factory=Lanes)
    at_model: set[Work] = field(default_factory=set)
    done_bytes: int = 0
    arrivals: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def oldest_s(self) -> float:
        """When the first record came that is not committed; infinity where there is none."""
        return self.arrivals[0][0] if self.arrivals else float("inf")

    def committed(self, watermark: int) -> None:
        """Everything below the watermark is committed."""
        while self.arrivals and self.arrivals[0][1] < watermark:
            self.arrivals.popleft()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking the model about one event.

    Attributes:
        decision: The decision, None where the fallback has to decide.
        reason: Why there is none; None where there is one.
        seconds: From hand-over to answer, waiting for a free call included.
        spent: Which model was asked and what its answers cost, of use or not.
        prompt_hash: SHA-256 of the prompt of answers that were of no use.
    """

    decision: Decision | None
    reason: str | None
    seconds: float
    spent: Spent = NOTHING_SPENT
    prompt_hash: str | None = None
