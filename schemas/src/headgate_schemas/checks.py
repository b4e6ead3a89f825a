"""What a load does not ask of contracts and a release does: documentation, compatibility, fitting types, examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headgate_schemas.compatibility import version_conflicts
from headgate_schemas.errors import ContractError
from headgate_schemas.records import walk_fields
from headgate_schemas.rules import compile_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from headgate_schemas.contracts import Contracts
    from headgate_schemas.expectations import Expectation
    from headgate_schemas.records import RecordSchema
    from headgate_schemas.topics import Rule, TopicContract

PII_CLASSES = frozenset({"direct", "quasi"})
STRICTEST: Final = "FULL_TRANSITIVE"
_NUMERIC = frozenset({"int", "long", "float", "double"})
_TEXT = frozenset({"string", "enum"})
_SIZED = frozenset({"string", "bytes", "array", "map"})


def check_contracts(contracts: Contracts) -> list[str]:
    """Every problem of loaded contracts, one text each, with file and field; empty where they may be released."""
    problems: list[str] = []
    for name in contracts.records:
        versions = contracts.versions(name)
        for record in versions:
            problems += _undocumented(record)
            problems += _unknown_pii(record)
        problems += _conflicts(name, versions, [topic for topic in contracts.topics.values() if topic.record == name])
        problems += _examples(contracts, name)
    for topic in contracts.topics.values():
        problems += _types(topic, contracts.record(topic.record))
    return list(dict.fromkeys(problems))


def _undocumented(record: RecordSchema) -> Iterator[str]:
    if not record.schema.get("doc"):
        yield f"{record.label}.avsc: the record has no doc"
    for path, field in walk_fields(record.raw):
        if not field.get("doc"):
            yield f"{record.label}.avsc: {path}: has no doc"


def _unknown_pii(record: RecordSchema) -> Iterator[str]:
    for path, pii in record.pii.items():
        if pii not in PII_CLASSES:
            yield f"{record.label}.avsc: {path}: pii is {pii!r}; it is one of {', '.join(sorted(PII_CLASSES))}"


def _conflicts(name: str, versions: Sequence[RecordSchema], topics: Sequence[TopicContract]) -> Iterator[str]:
    """What breaks between versions, and whose reading it breaks; a record without a topic is held to the strictest."""
    if not topics:
        yield from (f"{conflict}; no topic carries {name} yet" for conflict in version_conflicts(versions, STRICTEST))
    for topic in topics:
        readers = ", ".join(topic.consumers) or "nobody yet"
        for conflict in version_conflicts(versions, topic.compatibility):
            reader, writer = conflict.reader.version, conflict.writer.version
            when = (
                f"until they read with v{writer}" if reader < writer else f"from then on, on what it keeps of v{writer}"
            )
            yield f"{conflict}; breaks readers of {topic.topic} ({readers}) {when}"


def _examples(contracts: Contracts, name: str) -> Iterator[str]:
    """Examples are of the newest version and keep the rules of every topic that carries the record."""
    try:
        examples = contracts.examples(name)
    except ContractError as error:
        yield from error.problems
        return
    topics = [topic for topic in contracts.topics.values() if topic.record == name]
    if topics and not examples:
        yield f"examples/{name}/: no example; add one JSON file a typical value"
    for topic in topics:
        first_violation = compile_rules(topic)
        for file, example in examples.items():
            violation = first_violation(example)
            if violation is not None:
                yield f"examples/{name}/{file}.json: is no value of {topic.topic}: {violation.message}"


def _types(topic: TopicContract, record: RecordSchema) -> Iterator[str]:
    file = f"{topic.topic}.yaml"
    time = topic.fields.event_time
    if time is not None and "long" not in _kinds(record.field_type(time)):
        yield f"{file}: fields.event_time: {time} is no long; event time is timestamp-millis"
    kind = topic.fields.type
    if kind is not None and not _kinds(record.field_type(kind)) & _TEXT:
        yield f"{file}: fields.type: {kind} is no string; agents are chosen by the type's name"
    versions = topic.table.versions if topic.table else None
    if versions is not None and not _kinds(record.field_type(versions.by)) <= {"int", "long"}:
        yield f"{file}: table.versions.by: {versions.by} is no whole number; versions are ordered by one"
    for expectation in topic.table.expectations if topic.table else ():
        yield from _unfitting(file, record, expectation)
    for rule in topic.rules:
        kinds = _kinds(record.field_type(rule.field))
        for constraint, fitting in _fitting(rule):
            if not kinds & fitting:
                yield f"{file}: rules.{rule.name}: {constraint} asks nothing of {rule.field}, a {'/'.join(sorted(kinds))}"


def _unfitting(file: str, record: RecordSchema, expectation: Expectation) -> Iterator[str]:
    """What an expectation measures has to be there to be measured."""
    where = f"{file}: table.expectations.{expectation.name}"
    kinds = _kinds(record.field_type(expectation.field)) if expectation.field else set()
    of_value = {str: _TEXT, bool: {"boolean"}, int: {"int", "long"}}.get(type(expectation.value), _NUMERIC)
    fitting = {"mean": _NUMERIC, "share": of_value, "freshness_s": {"long"}}.get(expectation.measure, kinds)
    if not kinds <= fitting:
        yield f"{where}: a {expectation.measure} like this asks nothing of {expectation.field}, a {'/'.join(sorted(kinds))}"


def _fitting(rule: Rule) -> Iterator[tuple[str, AbstractSet[str]]]:
    """Each constraint a rule makes, with the Avro types it can hold for; on any other type it would always break."""
    if rule.minimum is not None or rule.maximum is not None:
        yield "minimum/maximum", _NUMERIC
    if rule.min_length is not None or rule.max_length is not None:
        yield "min_length/max_length", _SIZED
    if rule.pattern is not None:
        yield "pattern", _TEXT
    if rule.one_of is not None:
        yield "one_of", _TEXT | {"int", "long"}
    if rule.one_of_set is not None:
        yield "one_of_set", _TEXT


def _kinds(avro_type: Any) -> set[str]:
    branches = avro_type if isinstance(avro_type, list) else [avro_type]
    kinds = {str(branch["type"] if isinstance(branch, dict) else branch) for branch in branches}
    return kinds - {"null"}
