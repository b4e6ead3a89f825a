"""What the gateway asks of others: a place where answers are kept, and a purse that says whether a call may be paid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from headgate_runtime.records import TopicPartition
    from headgate_schemas.agent import Profile, Usage


@dataclass(frozen=True, slots=True)
class CallContext:
    """On whose behalf a model is called.

    Attributes:
        source: Partition of the event.
        offset: Offset of the event.
        agent: Name of the agent that asks; whose budget pays.
        agent_version: Its version.
        tenant: Whose budget pays as well; empty where the topic's contract names no tenant field.
        deadline_s: Monotonic time by which the decision is wanted.
        profile: What the agent was told of the event's key besides.
    """

    source: TopicPartition
    offset: int
    agent: str
    agent_version: str
    tenant: str
    deadline_s: float
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """A model's answer and what was paid for it.

    Attributes:
        model_id: The model that gave it.
        message: The answer as JSON; opaque to whoever keeps it.
        usage: What it used; ``calls`` is 1, and all are 0 where it is reused.
        cost_microdollars: What it cost, in millionths of a US dollar; 0 where it is reused.
        reused: Another event that asked exactly the same has paid for it.
        profile: Of an answer that is found again, what the agent was told of the event's key when it asked.
    """

    model_id: str
    message: bytes
    usage: Usage
    cost_microdollars: int
    reused: bool = False
    profile: Profile | None = None


class Recordings(Protocol):
    """Answers by the position they were given for, so that none is paid for twice; used on the model thread."""

    def find(self, context: CallContext, number: int) -> RecordedAnswer | None:
        """The answer this position got for its n-th call, counted from 0; never waits."""

    async def store(self, context: CallContext, number: int, answer: RecordedAnswer) -> None:
        """Keep an answer; returns once the broker has acknowledged it.

        Raises:
            UnavailableError: It could not be kept; the answer is good all the same.
        """


class Reservation(Protocol):
    """Money and tokens set aside for one attempt; one that is never settled stays counted in full."""

    def settle(self, tokens: int, cost_microdollars: int) -> None:
        """Say what the attempt has used (input and output tokens); zeros where nothing was paid. Never waits."""


class Purse(Protocol):
    """Says whether a call may be paid; used on the model thread."""

    async def reserve(self, agent: str, tenant: str, tokens: int, cost_microdollars: int) -> Reservation | None:
        """Set aside the most a call can use; None where that is over a limit.

        Raises:
            UnavailableError: Nobody can say now; the call is not made.
        """


class NoRecordings:
    """Keeps nothing: every call is made."""

    def find(self, context: CallContext, number: int) -> RecordedAnswer | None:  # noqa: ARG002 (Recordings)
        """Finds nothing."""
        return None

    async def store(self, context: CallContext, number: int, answer: RecordedAnswer) -> None:
        """Forgets the answer."""
