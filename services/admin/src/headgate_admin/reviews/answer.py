"""What a person decided on a review, as a record of the outcomes topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from headgate_runtime.errors import RejectedError, UnavailableError
from headgate_runtime.records import OutgoingRecord
from headgate_schemas import compile_rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headgate_runtime.avro import Encoder
    from headgate_runtime.kafka.protocols import RecordProducer
    from headgate_schemas import TopicContract

    from headgate_admin.reviews.queue import Review

DELIVERY_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person says.

    Attributes:
        reviewer: Who says it.
        comment: Why.
        decision: The decision from now on; None approves the one there is.
        priority: The priority from now on; None keeps the one there is.
    """

    reviewer: str
    comment: str
    decision: str | None = None
    priority: str | None = None

    @property
    def action(self) -> Literal["approve", "override"]:
        """Whether the decision stands."""
        return "approve" if self.decision is None else "override"

    def outcome_of(self, review: Review, *, now_ms: int) -> dict[str, Any]:
        """The outcome of a review that is answered so."""
        return {
            "action": self.action,
            "decision": self.decision or review.value["agent_metadata"]["decision"],
            "comment": self.comment,
            "priority": self.priority,
            "reviewer": self.reviewer,
            "decided_at": now_ms,
        }


def outcome_records(
    reviews: Sequence[Review], answer: Answer, topic: TopicContract, encoder: Encoder, *, now_ms: int
) -> list[OutgoingRecord]:
    """The records that answer reviews, each the review as it was and the outcome.

    Raises:
        RejectedError: One breaks the topic's rules; the text names field and rule.
    """
    check = compile_rules(topic)
    records = []
    for review in reviews:
        value: Mapping[str, Any] = {**review.value, "outcome": answer.outcome_of(review, now_ms=now_ms)}
        violation = check(value)
        if violation is not None:
            raise RejectedError(f"the answer is no value of {topic.topic}: {violation.message}")
        records.append(OutgoingRecord(topic.topic, review.record.key, encoder.encode(value), review.record.headers))
    return records


def deliver(records: Sequence[OutgoingRecord], producer: RecordProducer) -> None:
    """Send records and wait until the brokers have them.

    Raises:
        HeadgateError: They do not take one, or do not answer.
    """
    for record in records:
        producer.send(record)
    if left := producer.flush(DELIVERY_TIMEOUT_S):
        raise UnavailableError(
            f"{left} answers were not acknowledged: look whether they are there before you repeat them"
        )
