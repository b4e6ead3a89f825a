"""What an agent is to the enricher: two speeds, a fallback, and a decision that says what it cost.

An agent package offers a factory under the entry point group ``headgate.agents``:
``create_agent(model, *, model_id, tools=())``. The enricher finds it by name, hands it a chat model and the external
tools that are configured, and calls the methods of :class:`Agent`. An agent knows its event's fields; the enricher does
not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

Event = Mapping[str, Any]
Memory = Mapping[str, Any]
"""What an agent keeps of a key's events; JSON, small, never changed in place."""
Tier = Literal["rules", "model", "fallback", "human"]
Priority = Literal["low", "medium", "high"]
_SUM_UNITS: Final = 10_000  # the scale of the record's decimals is 4


@dataclass(frozen=True, slots=True)
class Usage:
    """What model calls used, as the provider counted it.

    Attributes:
        calls: Model answers paid for.
        input_tokens: Tokens sent.
        output_tokens: Tokens answered.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Sum two usages, for an answer that took a repair."""
        return Usage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing a decision rests on, short and without personal data.

    Attributes:
        source: What it came from: ``rule``, ``feature``, ``tool`` or ``guard``; the platform adds ``review``.
        name: Which of them, e.g. a rule's name or ``account_history.payments``.
        value: What it said, as text.
    """

    source: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision on one event.

    Attributes:
        decision: ``allow``, ``flag_high_risk`` or what the agent's contract adds.
        decision_reason: Why, in words a person can read; no personal data.
        risk_score: 0 (safe) to 1.
        priority: ``low``, ``medium`` or ``high``.
        confidence: 0 to 1.
        tier: Who decided.
        prompt_hash: SHA-256 of the prompt as sent, hexadecimal; None where no model was asked.
        usage: What the model calls for this decision used.
        fallback_reason: Code of why the fallback decided; None where it did not.
        evidence: What the decision rests on, most telling first; empty where nothing stood out.
        fields: What else goes into the record's ``agent_metadata``, by the names of optional fields that its contract
            has for the agent.
        review: Code of why a person should see the decision, such as ``uncertain``; None where nobody has to. The
            decision holds all the same, until a person says otherwise.
    """

    decision: str
    decision_reason: str
    risk_score: float
    priority: Priority
    confidence: float
    tier: Tier
    prompt_hash: str | None = None
    usage: Usage = field(default_factory=Usage)
    fallback_reason: str | None = None
    evidence: tuple[Evidence, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    review: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """What a closed window over a key's events came to, as an ``account_profile`` record says it.

    Attributes:
        start_ms: First instant of the window, milliseconds since the epoch.
        end_ms: Instant after the window.
        events: Events in it.
        counts: Counts of events and of distinct values, by the names of the windows' definition.
        sums: Sums, by the definition's names; of a split one with a point and the value it is split by behind.
    """

    start_ms: int
    end_ms: int
    events: int
    counts: Mapping[str, int] = field(hash=False)
    sums: Mapping[str, float] = field(hash=False)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Window:
        """Read a decoded ``account_profile``, whose sums are the bytes of decimals."""
        sums = {name: int.from_bytes(total, signed=True) / _SUM_UNITS for name, total in record["sums"].items()}
        return cls(record["window_start"], record["window_end"], record["events"], record["counts"], sums)


Profile = Mapping[str, Window]
"""The last closed windows of a key, by the names of definition and window; one that is missing is normal."""


@dataclass(frozen=True, slots=True)
class GreyCase:
    """An event that triage could not decide.

    Attributes:
        event: The event, untouched.
        features: What triage computed of it; numbers, booleans and short strings.
        floor: The decision of the rules; a model may be stricter, never laxer.
        memory: What the agent remembered of the key before the event; None where that was nothing.
        profile: What the processor had told of the key when the case was handed to the model, which may be windows
            that end behind the event; None where that is nothing, and always in ``fall_back`` and in replays.
    """

    event: Event
    features: Mapping[str, Any]
    floor: Decision
    memory: Memory | None = None
    profile: Profile | None = None


class ModelAnswerError(Exception):
    """The model answered, the answer was paid for, and it is of no use.

    Attributes:
        reason: Code that becomes the record's fallback reason: ``invalid_answer``, ``refused``, ``truncated``, ``filtered``.
        usage: What the calls used all the same.
        prompt_hash: SHA-256 of the prompt as sent.
    """

    def __init__(self, reason: str, usage: Usage, prompt_hash: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.usage = usage
        self.prompt_hash = prompt_hash


class ToolArgumentsError(Exception):
    """An external tool was called with arguments its schema does not take; nothing was sent. The text says what is wrong."""


class ToolUnavailableError(Exception):
    """An external tool gave no answer that can be used; the model decides without it.

    Attributes:
        reason: Code for the record's evidence: ``away``, ``timeout``, ``error``, ``invalid_answer``, ``too_large``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ExternalTool:
    """A read-only tool that a server outside answers; the enricher holds the connection and the allow-list.

    What it says of itself, and what it answers, is text from outside: the agent cleans, masks and fences it.

    Attributes:
        name: What a model calls it by, letters, digits, ``_`` and ``-``: ``reference__lookup_merchant``.
        label: What evidence calls it: ``reference.lookup_merchant``.
        description: What its server says of it.
        arguments: JSON schema of its arguments, an object.
        results: JSON schema of its answer, an object; None where it answers in words, as ``{"text": ...}``.
        call: Answers with JSON within a time limit of its own, or raises one of the two errors above.
    """

    name: str
    label: str
    description: str
    arguments: Mapping[str, Any]
    results: Mapping[str, Any] | None
    call: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]] = field(compare=False)


class Agent(Protocol):
    """Decides on events. ``triage`` and ``fall_back`` are CPU only; ``deliberate`` asks a model."""

    @property
    def name(self) -> str:
        """The agent's name, as in its entry point."""

    @property
    def version(self) -> str:
        """Hash of prompts, tools, model id, rules and policy: it changes when a decision could."""

    def remember(self, memory: Memory | None, event: Event) -> Memory | None:
        """Give what to remember of a key after an event, from the event and what was remembered before it alone.

        The enricher calls it once an event, in the order of the key, keeps the result across restarts, and hands it
        to ``triage`` with the key's next event. It must come out the same whenever it is repeated, and must not
        change ``memory``, which others still read. An agent without memory returns None.
        """

    def triage(self, events: Sequence[Event], memories: Sequence[Memory | None]) -> Sequence[Decision | GreyCase]:
        """Decide a micro-batch without a model; one result an event, in order.

        Args:
            events: The events.
            memories: What was remembered of each event's key before it; None where that is nothing.
        """

    async def deliberate(self, case: GreyCase) -> Decision:
        """Ask the model about one event.

        Raises:
            ModelAnswerError: The model answered and the answer is of no use.
            Exception: Whatever the chat model raised; the enricher owns its meaning and its retries.
        """

    def fall_back(self, case: GreyCase, reason: str) -> Decision:
        """Decide without a model an event that the model was wanted for; ``reason`` goes into the record."""
