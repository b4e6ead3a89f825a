"""The parts that an event passes through, as the dispatcher asks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from headgate_runtime.outbox import Outbox
    from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
    from headgate_schemas.agent import Decision, Event, GreyCase

    from headgate_enricher.gateway.spending import Spent
    from headgate_enricher.model_thread import Ask
    from headgate_enricher.progress import PartitionProgress
    from headgate_enricher.routing import Decider
    from headgate_enricher.work import Answer, Work


class Accepting(Protocol):
    """Turns records into events, each with the agent that decides on it; ``RoutedIntake`` is one."""

    def accept(self, record: Record) -> tuple[Event, Decider]:
        """Decode, check and route one record.

        Raises:
            RefusedError: The record is not what the contract says, or no agent takes it.
            PassedOverError: There is nothing to decide.
            UnavailableError: The registry does not answer and the record's schema is not known yet.
        """


class Judging(Protocol):
    """The agents' CPU-only half; ``Judge`` is one."""

    def triage(self, works: Sequence[Work]) -> None:
        """Triage a micro-batch."""

    def conclude(self, work: Work, case: GreyCase, answer: Answer) -> Decision:
        """Turn the model's answer into a decision.

        Raises:
            AgentFaultError: The fallback failed.
        """


class Enriching(Protocol):
    """Builds output records; ``Enrichment`` is one."""

    def build(self, work: Work, decision: Decision, spent: Spent, *, now_ms: int) -> OutgoingRecord:
        """Build the output record of a decided event.

        Raises:
            AgentFaultError: The decision does not fit the output's contract.
        """

    def ask(self, output: OutgoingRecord, reason: str, *, now_ms: int) -> OutgoingRecord | None:
        """Build the record that asks a person to review a decided event; None where nobody is to be asked.

        Raises:
            AgentFaultError: The reason does not fit the contract of the reviews.
        """


class Letters(Protocol):
    """Builds dead letters; the runtime's ``DeadLetters`` is one."""

    def record(
        self,
        source: Record,
        *,
        cause: str,
        message: str,
        field: str | None = None,
        rule: str | None = None,
        schema_id: int | None = None,
    ) -> OutgoingRecord:
        """Wrap a record."""


class Answers(Protocol):
    """Models' answers to events that are not done; ``ModelResults`` is one. For the loop's thread."""

    def restore(self, partitions: Mapping[TopicPartition, tuple[PartitionProgress, int | None]]) -> None:
        """Read back the answers to newly assigned partitions' events; raises UnavailableError to be called again."""

    def answers_from(self, source: TopicPartition) -> int | None:
        """Where the answers to a partition's other events begin, for the commit that makes some done."""

    def release(self, partitions: Collection[TopicPartition]) -> None:
        """Keep no more answers to these partitions' events."""

    def close(self) -> None:
        """Let go of what is open."""


class Beside(Protocol):
    """What is held for assigned partitions besides the agents' memory; ``Profiles`` is one. For the loop's thread."""

    def assign(self, sources: Collection[TopicPartition]) -> None:
        """Read back what belongs to partitions, before their first event."""

    def drop(self, sources: Collection[TopicPartition]) -> None:
        """Forget partitions; those that are not held are passed over."""


class Stages(NamedTuple):
    """The parts an event passes through.

    Attributes:
        intake: Decodes, checks and routes records.
        judge: The agents' CPU-only half.
        ask: Asks the model, on the model thread.
        enrichment: Builds output records.
        dead_letters: Builds dead letters.
        outbox: Holds outputs until they are committed.
    """

    intake: Accepting
    judge: Judging
    ask: Ask
    enrichment: Enriching
    dead_letters: Letters
    outbox: Outbox
