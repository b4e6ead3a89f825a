"""The places of personal data as the contracts give them: nobody is asked, and nothing is read but the contracts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headgate_schemas import treatments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headgate_schemas import Contracts, TopicContract
    from headgate_schemas.topics import Treatment

LETTER_KEY: Final = "key"
"""The field of a dead letter that holds the key of the record it is about."""


@dataclass(frozen=True, slots=True)
class PersonTable:
    """A table whose rows can be told to be a person's.

    Attributes:
        name: Name with namespace.
        topics: The topics stored in it.
        column: Dotted path of the column with the person's key.
        treatment: What the table holds of it.
    """

    name: str
    topics: tuple[str, ...]
    column: str
    treatment: Treatment


@dataclass(frozen=True, slots=True)
class TaggedField:
    """A personal field of a topic.

    Attributes:
        path: Dotted path of the field.
        tag: ``direct`` or ``quasi``.
        table: Table it is stored in, None where it is in none.
        treatment: What the table holds of it, None without a table.
    """

    path: str
    tag: str
    table: str | None
    treatment: Treatment | None

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        return {"field": self.path, "tag": self.tag, "table": self.table, "treatment": self.treatment}


@dataclass(frozen=True, slots=True)
class PersonalTopic:
    """A topic that holds personal data.

    Attributes:
        contract: The topic's contract.
        fields: Its tagged fields; none where only its key, or bytes that an agent made, are a person's.
        keyed: Whether its records' keys hold a person's.
    """

    contract: TopicContract
    fields: tuple[TaggedField, ...]
    keyed: bool

    @property
    def compacted(self) -> bool:
        """Whether the last record of a key stays whatever its age, so that only a tombstone takes it away."""
        return "compact" in self.contract.cleanup_policy

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        contract = self.contract
        return {
            "topic": contract.topic,
            "record": contract.record,
            "cleanup_policy": contract.cleanup_policy,
            "retention_ms": contract.retention_ms,
            "keyed_by_person": self.keyed,
            "producers": list(contract.producers),
            "consumers": list(contract.consumers),
            "fields": [field.document() for field in self.fields],
        }


def personal_topics(contracts: Contracts) -> list[PersonalTopic]:
    """The topics whose records or keys hold personal data, in the contracts' order."""
    found = (
        PersonalTopic(topic, tuple(_fields(contracts, topic)), person_key(contracts, topic))
        for topic in contracts.topics.values()
    )
    return [topic for topic in found if topic.fields or topic.keyed]


def person_tables(contracts: Contracts) -> list[PersonTable]:
    """The tables in which a person's rows can be found, each once."""
    letters = {topic.dead_letters for topic in contracts.topics.values()}
    columns: dict[str, tuple[str, Treatment, list[str]]] = {}
    for topic in contracts.topics.values():
        if topic.table is None:
            continue
        column = LETTER_KEY if topic.topic in letters else topic.fields.key
        record = contracts.record(topic.record)
        if column is not None and record.pii.get(column) == "direct":
            treatment = treatments(record, topic.table.pii).of(column)
            columns.setdefault(topic.table.name, (column, treatment, []))[2].append(topic.topic)
    return [PersonTable(name, tuple(topics), column, how) for name, (column, how, topics) in columns.items()]


def person_key(contracts: Contracts, topic: TopicContract) -> bool:
    """Whether the keys of a topic's records hold a person's."""
    key = topic.fields.key
    tagged = key is not None and contracts.record(topic.record).pii.get(key) == "direct"
    return tagged or topic.person_after is not None


def _fields(contracts: Contracts, topic: TopicContract) -> Iterator[TaggedField]:
    record, table = contracts.record(topic.record), topic.table
    held = treatments(record, table.pii) if table else None
    for path, tag in record.pii.items():
        yield TaggedField(path, tag, table.name if table else None, held.of(path) if held else None)
