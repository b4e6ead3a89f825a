"""From the records of the contracts and what the registry has to a list of changes. Nothing is ever deleted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from headgate_runtime.errors import RejectedError, UnknownSchemaError
from headgate_schemas.records import walk_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import Contracts, RecordSchema, TopicContract


@dataclass(frozen=True, slots=True)
class SubjectState:
    """A subject as the registry has it.

    Attributes:
        compatibility: Level set on the subject itself, None where none is.
        versions: How many versions it has, of whatever schemas.
        registered: Which versions of the contract's record are among them.
    """

    compatibility: str | None
    versions: int
    registered: frozenset[int]


@dataclass(frozen=True, slots=True)
class Register:
    """A version of a record is not in the subject; ``fields`` says how it differs from the version before."""

    action: ClassVar[str] = "register"
    subject: str
    record: str
    fields: tuple[str, ...]
    text: str

    def describe(self) -> str:
        """The change in words."""
        return "\n".join([self.record, *self.fields])


@dataclass(frozen=True, slots=True)
class SetCompatibility:
    """The subject's compatibility level is not the contract's."""

    action: ClassVar[str] = "set compatibility"
    subject: str
    before: str | None
    after: str

    def describe(self) -> str:
        """The change in words."""
        return f"{self.before or 'none of its own'} -> {self.after}"


SubjectChange = Register | SetCompatibility


def read_subjects(contracts: Contracts, registry: SchemaRegistry) -> dict[str, SubjectState]:
    """Ask the registry about the subject of every topic; by subject.

    Raises:
        UnavailableError: The registry does not answer.
    """
    return {
        topic.subject: _read_subject(topic.subject, contracts.versions(topic.record), registry)
        for topic in contracts.topics.values()
    }


def plan_subjects(contracts: Contracts, actual: Mapping[str, SubjectState]) -> list[SubjectChange]:
    """What has to change for each subject to hold its record's versions at its level; empty where all do."""
    return [
        change
        for topic in contracts.topics.values()
        for change in _plan_subject(topic, contracts.versions(topic.record), actual[topic.subject])
    ]


def apply_subjects(changes: Iterable[SubjectChange], registry: SchemaRegistry) -> None:
    """Make planned changes, in order.

    Raises:
        RejectedError: The registry refuses a schema; the changes before it are made, and the next run goes on from there.
        UnavailableError: The registry does not answer.
    """
    for change in changes:
        if isinstance(change, SetCompatibility):
            registry.set_compatibility(change.subject, change.after)
            continue
        try:
            registry.register(change.subject, change.text)
        except RejectedError as error:
            raise RejectedError(
                f"{change.subject}: {change.record} was not registered. Where it is incompatible with an earlier version, "
                f"'headgate schemas check' names the fields. {error}"
            ) from error


def document_of(change: SubjectChange) -> dict[str, Any]:
    """A change in JSON form."""
    fields: dict[str, Any] = {name: getattr(change, name) for name in change.__slots__ if name != "text"}
    return {"action": change.action, **fields}


def field_changes(old: RecordSchema | None, new: RecordSchema) -> tuple[str, ...]:
    """How a version's fields differ from the one before: ``+ path: type``, ``- path: type``, ``~ path: old -> new``."""
    before = _field_types(old) if old is not None else {}
    after = _field_types(new)
    added = [f"+ {path}: {kind}" for path, kind in after.items() if path not in before]
    removed = [f"- {path}: {kind}" for path, kind in before.items() if path not in after]
    changed = [f"~ {path}: {before[path]} -> {kind}" for path, kind in after.items() if before.get(path, kind) != kind]
    return (*added, *removed, *changed)


def _read_subject(subject: str, versions: Iterable[RecordSchema], registry: SchemaRegistry) -> SubjectState:
    count = len(registry.versions(subject))
    registered = frozenset(record.version for record in versions if count and _has(registry, subject, record))
    return SubjectState(registry.compatibility(subject) if count else None, count, registered)


def _has(registry: SchemaRegistry, subject: str, record: RecordSchema) -> bool:
    try:
        registry.schema_id(subject, record.text)
    except UnknownSchemaError:
        return False
    return True


def _plan_subject(topic: TopicContract, versions: list[RecordSchema], state: SubjectState) -> Iterator[SubjectChange]:
    missing = [
        Register(topic.subject, record.label, field_changes(before, record), record.text)
        for before, record in zip([None, *versions], versions, strict=False)
        if record.version not in state.registered
    ]
    level = (
        [SetCompatibility(topic.subject, state.compatibility, topic.compatibility)]
        if state.compatibility != topic.compatibility
        else []
    )
    # A level can be set only on a subject that exists, and must be set before a second schema is let in.
    first = 0 if state.versions else 1
    yield from missing[:first]
    yield from level
    yield from missing[first:]


def _field_types(record: RecordSchema) -> dict[str, str]:
    return {path: _type_text(field["type"]) for path, field in walk_fields(record.raw)}


def _type_text(avro_type: Any) -> str:
    """A type in short: what a record or an enum holds has lines of its own or is left out."""
    if isinstance(avro_type, list):
        return " | ".join(map(_type_text, avro_type))
    if not isinstance(avro_type, dict):
        return str(avro_type)
    kind = avro_type["type"]
    if kind in {"array", "map"}:
        return f"{kind} of {_type_text(avro_type.get('items', avro_type.get('values')))}"
    if kind == "enum":
        return f"enum {json.dumps(avro_type['symbols'])}"
    return f"{kind}({avro_type['size']})" if kind == "fixed" else str(kind)
