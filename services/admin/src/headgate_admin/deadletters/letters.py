"""The dead letters of the topics, and which of them were put back already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headgate_runtime.avro import Decoder
from headgate_runtime.errors import RejectedError, UndecodableError

from headgate_admin.deadletters.position import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headgate_runtime.kafka.protocols import TransactionalProducer
    from headgate_runtime.records import Record
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import Contracts, TopicContract

    from headgate_admin.reading import ReadAt, ReadNewest


@dataclass(frozen=True, slots=True)
class Connections:
    """What the commands talk to.

    Attributes:
        registry: The schema registry.
        read: Reads a topic.
        read_at: Reads one record.
        transactions: Takes over a transactional id.
    """

    registry: SchemaRegistry
    read: ReadNewest
    read_at: ReadAt
    transactions: Callable[[str], TransactionalProducer]


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter.

    Attributes:
        position: Where the letter is.
        value: Its dead_letter record, decoded.
    """

    position: Position
    value: Mapping[str, Any]

    @property
    def source(self) -> Position:
        """Where the record is that it is about."""
        value = self.value
        return Position(value["source_topic"], value["source_partition"], value["source_offset"])


class Letters:
    """Reads dead letters, of which a record has one: the last, for a letter may be sent twice."""

    def __init__(self, contracts: Contracts, connections: Connections, replays_topic: str) -> None:
        self._contracts = contracts
        self._connections = connections
        self._replays = contracts.topic(replays_topic)

    def topic_of(self, source: str) -> TopicContract:
        """The dead letters' topic of a topic, or of itself.

        Raises:
            RejectedError: It has none.
        """
        if source in self.topics():
            return self._contracts.topic(source)
        letters = self._contracts.topic(source).dead_letters
        if letters is None:
            raise RejectedError(f"{source} has no dead letters: its contract names no dead_letters.")
        return self._contracts.topic(letters)

    def topics(self) -> list[str]:
        """Every topic of dead letters."""
        return sorted({topic.dead_letters for topic in self._contracts.topics.values() if topic.dead_letters})

    def read(self, topic: str, wanted: Callable[[Letter], bool]) -> list[Letter]:
        """The letters of a topic of dead letters that are wanted, oldest first; of each record the last letter."""
        found: dict[Position, Letter] = {}
        for position, value in self._values(self._contracts.topic(topic)):
            letter = Letter(position, value)
            if wanted(letter):
                found.pop(letter.source, None)
                found[letter.source] = letter
        return list(found.values())

    def find(self, position: Position) -> Letter:
        """The letter at a position, or the letter about the record at a position.

        Raises:
            RejectedError: There is none.
        """
        topic = self.topic_of(position.topic).topic
        for letter in self.read(topic, lambda letter: position in {letter.position, letter.source}):
            return letter
        raise RejectedError(
            f"No dead letter at {position}, nor about it, is in {topic}: `headgate dlq list` shows some."
        )

    def replays(self) -> dict[Position, Mapping[str, Any]]:
        """What was put back already: the last replay by the position of its record."""
        return {
            Position(value["source_topic"], value["source_partition"], value["source_offset"]): value
            for _, value in self._values(self._replays)
        }

    def _values(self, topic: TopicContract) -> Iterator[tuple[Position, dict[str, Any]]]:
        decoder = Decoder(self._connections.registry, self._contracts.record(topic.record))
        records: list[Record] = []
        self._connections.read(topic.topic, None, records.append)
        for record in sorted(records, key=lambda record: record.timestamp_ms):
            position = Position(record.topic, record.partition, record.offset)
            try:
                yield position, decoder.decode(record.value)
            except UndecodableError as error:
                raise RejectedError(f"{position} cannot be read: {error}") from error
