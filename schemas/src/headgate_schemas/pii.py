"""What a table holds of a record's personal data, worked out from the tags of its fields and the contract's policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from headgate_schemas.records import named_types

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headgate_schemas.records import RecordSchema
    from headgate_schemas.topics import PiiPolicy, TopicContract, Treatment

_HASHABLE = frozenset({"string", "bytes", "fixed", "enum"})
_OF_VALUES = ("identity", "bucket", "truncate", "void")


@dataclass(frozen=True, slots=True)
class Treatments:
    """What becomes of the fields of a record in its table.

    Attributes:
        by_path: ``drop`` of a field that is left out, ``hash`` of values that are hashed; an array's items are
            ``path[]``, a map's values ``path{}``. What is not there is kept.
        problems: Why the policy cannot be followed, one text each with the field's path.
    """

    by_path: Mapping[str, Literal["hash", "drop"]]
    problems: tuple[str, ...]

    def of(self, path: str) -> Treatment:
        """What becomes of the field at a dotted path; a field goes with the one it is in."""
        parts = path.split(".")
        within = (".".join(parts[:count]) for count in range(1, len(parts)))
        if any(self.by_path.get(outer) == "drop" for outer in within):
            return "drop"
        return self.by_path.get(path, "keep")


def treatments(record: RecordSchema, policy: PiiPolicy) -> Treatments:
    """Apply a policy to a record. A tag holds for everything inside its field that has no tag of its own."""
    walk = _Walk(policy, named_types(record.raw))
    walk.fields(record.raw, "", "keep", frozenset())
    return Treatments(walk.by_path, tuple(walk.problems))


def pii_problems(topic: TopicContract, record: RecordSchema) -> Iterator[str]:
    """Why the table of a topic cannot follow its policy, one text each."""
    if topic.table is None:
        return
    found = treatments(record, topic.table.pii)
    label = f"{topic.topic}.yaml: table.pii"
    yield from (f"{label}: {problem}" for problem in found.problems)
    for part in topic.table.partition_by:
        done = found.of(part.field)
        if done == "drop":
            yield f"{label}: {part.field} is dropped, and the table is partitioned by it; hash or keep it"
        elif done == "hash" and not part.transform.startswith(_OF_VALUES):
            yield (
                f"{label}: {part.field} is hashed, and a hash has no {part.transform}; partition by identity, bucket or "
                "truncate, or keep it"
            )
    time, versions = topic.fields.event_time, topic.table.versions
    for path, use in ((time, "its rows are sorted by it"), (versions and versions.by, "versions are ordered by it")):
        if path and found.of(path) != "keep":
            yield f"{label}: {path} is dropped or hashed, and {use}; keep it"
    if versions and found.of(versions.key) == "drop":
        yield f"{label}: {versions.key} is dropped, and versions of a row share it; hash or keep it"


@dataclass
class _Walk:
    """Goes through a record once."""

    policy: PiiPolicy
    named: Mapping[str, Mapping[str, Any]]
    by_path: dict[str, Literal["hash", "drop"]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def fields(self, record: Mapping[str, Any], path: str, outer: Treatment, within: frozenset[str]) -> None:
        kept = 0
        for each in record["fields"]:
            here = f"{path}.{each['name']}" if path else each["name"]
            treatment = self.policy.of(each["pii"]) if "pii" in each else outer
            if treatment == "drop":
                self.by_path[here] = treatment
            else:
                kept += 1
                self.values(each["type"], here, treatment, within)
        if not kept:
            self.problems.append(
                f"every field of {path or 'the record'} is dropped, and a table has no empty column; "
                "tag the field that holds them, or keep one"
            )

    def values(self, avro: Any, path: str, treatment: Treatment, within: frozenset[str]) -> None:
        schema: Any = self.named.get(avro, avro) if isinstance(avro, str) else avro
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(kind, list):
            for branch in kind:
                self.values(branch, path, treatment, within)
        elif isinstance(kind, dict):
            self.values(kind, path, treatment, within)
        elif kind == "record":
            # A record inside itself has no column, and the writer says so.
            if schema["name"] not in within:
                self.fields(schema, path, treatment, within | {schema["name"]})
        elif kind == "array":
            self.values(schema["items"], f"{path}[]", treatment, within)
        elif kind == "map":
            self.values(schema["values"], f"{path}{{}}", treatment, within)
        elif treatment == "hash" and kind != "null":
            self._hash(path, kind)

    def _hash(self, path: str, kind: str) -> None:
        if kind in _HASHABLE:
            self.by_path[path] = "hash"
        else:
            self.problems.append(f"{path} is a {kind}, and only texts and bytes are hashed; drop or keep its class")
