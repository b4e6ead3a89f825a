"""All contracts of a folder: records, topics and the sets their rules name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from headgate_schemas.errors import ContractError
from headgate_schemas.examples import read_example
from headgate_schemas.pii import pii_problems
from headgate_schemas.records import RecordSchema, read_record
from headgate_schemas.topics import NamedSet, TopicContract, read_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_T = TypeVar("_T")

DEAD_LETTER_ROOM_BYTES = 65_536
"""What a dead letter may be larger than the record it holds."""


def shipped_directory() -> Path:
    """The contracts that come with this package: inside it in a wheel, beside ``src`` in a source tree."""
    packaged = Path(__file__).parent / "contracts"
    return packaged if packaged.is_dir() else Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Contracts:
    """What every record and topic must be.

    Attributes:
        directory: The folder they were read from; it may also hold examples/ and mappings/.
        topics: Topics by name.
    """

    directory: Path
    topics: Mapping[str, TopicContract]
    _records: Mapping[str, tuple[RecordSchema, ...]]

    @classmethod
    def load(cls, directory: Path | None = None) -> Contracts:
        """Read and cross-check all contracts.

        Args:
            directory: Folder with avro/ and topics/, and sets/ where rules name sets; None takes the shipped contracts.

        Raises:
            ContractError: Holds every problem found, each with file and field.
        """
        root = directory if directory is not None else shipped_directory()
        for part in ("avro", "topics"):
            if not (root / part).is_dir():
                raise ContractError(f"{root}: no folder {part}/; a contracts folder holds avro/ and topics/")
        problems: list[str] = []
        sets = {path.stem: read_set(path) for path in sorted(root.glob("sets/*.txt"))}
        records = _read_all(sorted(root.glob("avro/*")), read_record, problems)
        topics = _read_all(sorted(root.glob("topics/*")), lambda path: read_topic(path, sets), problems)
        versions = _by_name(records)
        if not problems:
            problems += _gaps(versions)
            problems += _broken_references(topics, versions)
        if problems:
            raise ContractError(problems)
        return cls(root, MappingProxyType({topic.topic: topic for topic in topics}), MappingProxyType(versions))

    @property
    def stored(self) -> tuple[str, ...]:
        """Names of the topics that have a table."""
        return tuple(name for name, topic in self.topics.items() if topic.table is not None)

    @property
    def records(self) -> tuple[str, ...]:
        """Names of the records."""
        return tuple(self._records)

    def topic(self, name: str) -> TopicContract:
        """The contract of a topic.

        Raises:
            ContractError: No such topic.
        """
        if name not in self.topics:
            known = ", ".join(self.topics)
            raise ContractError(f"no topic {name!r}; add topics/{name}.yaml or take one of {known}")
        return self.topics[name]

    def record(self, name: str) -> RecordSchema:
        """The newest version of a record.

        Raises:
            ContractError: No such record.
        """
        return self.versions(name)[-1]

    def versions(self, name: str) -> list[RecordSchema]:
        """All released versions of a record, oldest first.

        Raises:
            ContractError: No such record.
        """
        if name not in self._records:
            known = ", ".join(self._records)
            raise ContractError(f"no record {name!r}; add avro/{name}.v1.avsc or take one of {known}")
        return list(self._records[name])

    def examples(self, name: str) -> dict[str, dict[str, Any]]:
        """Example values of a record's newest version by file stem; timestamps int milliseconds, bytes as bytes.

        Raises:
            ContractError: No such record, or an example is not of it.
        """
        record = self.record(name)
        problems: list[str] = []
        paths = sorted(self.directory.glob(f"examples/{name}/*.json"))
        values = _read_all(paths, lambda path: (path.stem, read_example(path, record)), problems)
        if problems:
            raise ContractError(problems)
        return dict(values)


def read_set(path: Path) -> NamedSet:
    """Read a named set: one value a line, ``#`` starts a comment."""
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return NamedSet(path.stem, frozenset(line for line in lines if line))


def _read_all(paths: Iterable[Path], read: Callable[[Path], _T], problems: list[str]) -> list[_T]:
    """Read each file; what is wrong with one is noted, so that a person sees all problems at once."""
    results = []
    for path in paths:
        try:
            results.append(read(path))
        except ContractError as error:
            problems += error.problems
    return results


def _by_name(records: Iterable[RecordSchema]) -> dict[str, tuple[RecordSchema, ...]]:
    versions: dict[str, list[RecordSchema]] = {}
    for record in sorted(records, key=lambda record: (record.name, record.version)):
        versions.setdefault(record.name, []).append(record)
    return {name: tuple(of_name) for name, of_name in versions.items()}


def _gaps(versions: Mapping[str, tuple[RecordSchema, ...]]) -> Iterator[str]:
    for name, of_name in versions.items():
        numbers = [record.version for record in of_name]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{name}: versions {numbers} leave a gap; released versions stay, numbered from 1"


def _broken_dead_letters(topic: TopicContract, named: Mapping[str, TopicContract]) -> Iterator[str]:
    if topic.dead_letters is None:
        return
    letters = named.get(topic.dead_letters)
    if letters is None:
        yield f"{topic.topic}.yaml: dead_letters: no topic {topic.dead_letters!r}; add topics/{topic.dead_letters}.yaml"
    elif letters.dead_letters is not None:
        yield (
            f"{letters.topic}.yaml: dead_letters: it takes the dead letters of {topic.topic}, and a letter about a letter "
            "would have no end; leave dead_letters out"
        )
    elif letters.max_message_bytes < (least := topic.max_message_bytes + DEAD_LETTER_ROOM_BYTES):
        yield (
            f"{letters.topic}.yaml: max_message_bytes: the largest record of {topic.topic} would not fit in a dead letter; "
            f"write {least} or more"
        )


def _broken_tables(named: Mapping[str, TopicContract]) -> Iterator[str]:
    """What keeps topics from being rows of a table: no place for what cannot be a row, or another topic's idea of it."""
    letters = {topic.dead_letters for topic in named.values()}
    first: dict[str, TopicContract] = {}
    for topic in named.values():
        if topic.table is None:
            continue
        if topic.dead_letters is None and topic.topic not in letters:
            yield f"{topic.topic}.yaml: dead_letters: a topic with a table needs one, for what cannot be a row of it"
        other = first.setdefault(topic.table.name, topic)
        if topic.record != other.record:
            yield (
                f"{topic.topic}.yaml: record: {topic.table.name} is also the table of {other.topic}, whose record is "
                f"{other.record}; topics of one table have one record"
            )
        elif topic.table != other.table:
            yield (
                f"{topic.topic}.yaml: table: {other.topic}.yaml describes {topic.table.name} otherwise; topics of one "
                "table say the same about it"
            )


def _broken_references(
    topics: Iterable[TopicContract], versions: Mapping[str, tuple[RecordSchema, ...]]
) -> Iterator[str]:
    """A path that leads nowhere would switch its rule off silently: it stops the load instead."""
    named = {topic.topic: topic for topic in topics}
    yield from _broken_tables(named)
    for topic in named.values():
        yield from _broken_dead_letters(topic, named)
        if topic.record not in versions:
            yield f"{topic.topic}.yaml: record: no record {topic.record!r}; there are {', '.join(versions)}"
            continue
        record = versions[topic.record][-1]
        for where, path in topic.field_paths():
            if record.field_type(path) is None:
                yield f"{topic.topic}.yaml: {where}: {record.label} has no field {path}"
        yield from pii_problems(topic, record)
