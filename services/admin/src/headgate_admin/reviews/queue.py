"""The reviews that wait for a person: what is asked, without what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headgate_runtime.avro import Decoder
from headgate_runtime.errors import RejectedError, UndecodableError
from headgate_schemas import field_getter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from headgate_runtime.records import Record
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import Contracts

    from headgate_admin.reading import ReadNewest


@dataclass(frozen=True, slots=True)
class Review:
    """A decision that a person is asked to see.

    Attributes:
        event_id: Of its event.
        record: The record of the reviews topic.
        value: The record's value, decoded.
    """

    event_id: str
    record: Record
    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """What is asked, oldest first, and what is answered.

    Attributes:
        reviews: By event id.
        answered: Event ids of which some outcome is there.
        unreadable: Records of either topic that could not be decoded.
    """

    reviews: Mapping[str, Review]
    answered: frozenset[str]
    unreadable: int

    def pending(self, reason: str | None = None) -> list[Review]:
        """Reviews without an answer; of one reason where it is given."""
        return [
            review
            for event_id, review in self.reviews.items()
            if event_id not in self.answered and reason in {None, review.value["review"]["reason"]}
        ]

    def find(self, event_ids: Sequence[str], *, again: bool) -> list[Review]:
        """The reviews of events.

        Args:
            event_ids: Of the events.
            again: Also of those that are answered.

        Raises:
            RejectedError: There is none of an event, or it is answered.
        """
        problems = list(self._problems(event_ids, again=again))
        if problems:
            raise RejectedError("; ".join(problems))
        return [self.reviews[event_id] for event_id in dict.fromkeys(event_ids)]

    def _problems(self, event_ids: Sequence[str], *, again: bool) -> Iterator[str]:
        for event_id in event_ids:
            if event_id not in self.reviews:
                yield f"no review of event {event_id} among those read: take one that `headgate review list` shows, or raise --newest"
            elif event_id in self.answered and not again:
                yield f"the review of event {event_id} is answered: --again adds another revision"


def load_queue(
    contracts: Contracts, registry: SchemaRegistry, read: ReadNewest, *, reviews: str, outcomes: str, count: int
) -> ReviewQueue:
    """Read what is asked and what is answered.

    Args:
        contracts: The contracts.
        registry: The schema registry.
        read: Reads a topic.
        reviews: Topic of the reviews.
        outcomes: Topic of the outcomes; all of them are read, for people make few.
        count: Reviews read of each partition, the newest.

    Raises:
        ContractError: A topic has no contract.
        UnavailableError: Broker or registry does not answer.
    """
    unreadable = 0

    def values(topic: str, most: int | None) -> Iterator[tuple[str, Record, Mapping[str, Any]]]:
        nonlocal unreadable
        contract = contracts.topic(topic)
        decoder = Decoder(registry, contracts.record(contract.record))
        event_id = field_getter(contract.fields.event_id or "")
        records: list[Record] = []
        read(topic, most, records.append)
        for record in sorted(records, key=lambda record: record.timestamp_ms):
            try:
                value = decoder.decode(record.value)
            except UndecodableError:
                unreadable += 1
                continue
            yield str(event_id(value)), record, value

    asked = {event_id: Review(event_id, record, value) for event_id, record, value in values(reviews, count)}
    answered = frozenset(event_id for event_id, _, _ in values(outcomes, None))
    return ReviewQueue(asked, answered, unreadable)
