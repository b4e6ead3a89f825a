"""The parts that an event passes through, as the dispatcher asks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_runtime.records import OutgoingRecord, Record
    from headgate_schemas.agent import Decision, GreyCase

    from headgate_enricher.gateway.spending import Spent
    from headgate_enricher.model_thread import Ask
    from headgate_enricher.outbox import Outbox
    from headgate_enricher.work import Answer, Work


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

    def ask(self, output: OutgoingRecord, reason: str, *, now_ms: int) -> OutgoingRecord:
        """Build the record that asks a person to review a decided event.

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


class Stages(NamedTuple):
    """The parts an event passes through.

    Attributes:
        judge: The agents' CPU-only half.
        ask: Asks the model, on the model thread.
        enrichment: Builds output records.
        dead_letters: Builds dead letters.
        outbox: Holds outputs until they are committed.
    """

    judge: Judging
    ask: Ask
    enrichment: Enriching
    dead_letters: Letters
    outbox: Outbox
