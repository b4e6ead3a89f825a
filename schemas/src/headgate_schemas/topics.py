"""A topic as its contract says it: owner, record, partitions, retention, fields, rules, table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from headgate_schemas.errors import ContractError
from headgate_schemas.expectations import Expectation
from headgate_schemas.parts import ContractPart, FieldPath, Name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Compatibility = Literal[
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"
]
Treatment = Literal["keep", "hash", "drop"]
_Named = TypeVar("_Named", "Rule", Expectation)


@dataclass(frozen=True, slots=True)
class NamedSet:
    """Values kept in ``sets/<name>.txt``, so that several rules can name them."""

    name: str
    values: frozenset[str]


def _resolve_set(value: object, info: ValidationInfo) -> object:
    known: dict[str, NamedSet] = (info.context or {}).get("sets", {})
    if isinstance(value, str):
        if value not in known:
            raise ValueError(f"no set {value!r}; there are {', '.join(sorted(known)) or 'none'} in sets/*.txt")
        return known[value]
    return value


SetReference = Annotated[NamedSet, BeforeValidator(_resolve_set), PlainSerializer(lambda named: named.name)]


class Condition(ContractPart):
    """When a rule applies: where the field equals the value."""

    field: FieldPath
    equals: StrictStr | StrictInt | StrictBool


class Rule(ContractPart):
    """A rule on one field that a schema cannot say; an absent or null field breaks only ``required``.

    Attributes:
        minimum: Least number allowed; NaN, infinities and what is no number break it. ``maximum`` likewise.
        min_length: Least length of a text, bytes, array or map. ``max_length`` likewise.
        one_of_set: Name of a file under sets/ whose values are allowed.
        pattern: Regular expression the whole text matches.
        when: The rule applies only where this holds.
    """

    name: Name
    field: FieldPath
    required: Literal[True] | None = None
    minimum: StrictInt | StrictFloat | None = None
    maximum: StrictInt | StrictFloat | None = None
    min_length: Annotated[int, Field(ge=0)] | None = None
    max_length: Annotated[int, Field(ge=0)] | None = None
    one_of: Annotated[tuple[StrictStr | StrictInt, ...], Field(min_length=1)] | None = None
    one_of_set: SetReference | None = None
    pattern: str | None = None
    when: Condition | None = None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        said = self.model_dump(exclude_none=True, exclude={"name", "field", "when"})
        if not said:
            raise ValueError("says nothing; give required, minimum, maximum, min_length, max_length, one_of or pattern")
        for low, high in ((self.minimum, self.maximum), (self.min_length, self.max_length)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"nothing can be at least {low} and at most {high}")
        return self


def unique(kind: str, named: tuple[_Named, ...]) -> tuple[_Named, ...]:
    """Refuse a name that is used twice."""
    names = [each.name for each in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{kind} names are used twice: {', '.join(twice)}")
    return named


class EventFields(ContractPart):
    """Paths of the fields that Headgate needs to know; ``key: null`` declares a topic whose key is no field."""

    key: FieldPath | None
    event_id: FieldPath | None = None
    event_time: FieldPath | None = None
    tenant: FieldPath | None = None
    type: FieldPath | None = None


class PartitionField(ContractPart):
    """One field of an Iceberg partition spec; the transform as Iceberg writes it."""

    field: FieldPath
    transform: Annotated[
        str, Field(pattern=r"^(identity|year|month|day|hour|void|bucket\[[1-9]\d*\]|truncate\[[1-9]\d*\])$")
    ]


class RowVersions(ContractPart):
    """Which rows of a table are versions of one thing; a row is unique by both fields.

    Attributes:
        key: The field that versions of one thing share.
        by: The number that orders them; the highest one holds.
    """

    key: FieldPath
    by: FieldPath


class PiiPolicy(ContractPart):
    """What the table holds of the fields that are tagged as personal data, by the tag.

    ``hash`` stores the HMAC-SHA-256 of a value under the writer's key, ``drop`` makes no column of the field.
    """

    direct: Treatment = "keep"
    quasi: Treatment = "keep"

    def of(self, tag: str) -> Treatment:
        """The treatment of a tag; one that is not known is taken for the stricter."""
        return self.quasi if tag == "quasi" else self.direct


class TableContract(ContractPart):
    """The lakehouse table a topic is stored in, as ``namespace.table``.

    Attributes:
        versions: Where rows may follow rows.
        pii: What becomes of personal data.
        expectations: What each commit should look like; one that does not is stored, counted and alerted on.
    """

    name: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)+$")]
    partition_by: tuple[PartitionField, ...] = ()
    versions: RowVersions | None = None
    pii: PiiPolicy = PiiPolicy()
    expectations: tuple[Expectation, ...] = ()

    @field_validator("expectations")
    @classmethod
    def _unique_expectations(cls, expectations: tuple[Expectation, ...]) -> tuple[Expectation, ...]:
        return unique("expectation", expectations)


class TopicContract(ContractPart):
    """A topic's contract.

    Attributes:
        topic: Name; the file is ``<topic>.yaml``.
        owner: Who answers for the topic.
        record: Name of the record its values are.
        compatibility: How versions of the record may differ; set on the registry's subject.
        partitions: Least number of partitions.
        retention_ms: Milliseconds a record is kept, -1 for ever.
        max_message_bytes: Largest record batch the brokers take; Kafka's own default where it is not written.
        segment_bytes: Size at which a log segment is closed; only closed ones are compacted or dropped.
        timestamps: Whether a record's timestamp is its producer's (``create``) or the brokers' (``append``).
        fields: Which fields are key, event id, event time, tenant and the event's type.
        person_after: Where a key ends with a person's: parts before that, each ended by a slash; None where it does not.
        producers: Services that write it; ``consumers`` read it.
        dead_letters: Topic of the records that could not be processed; a topic that takes dead letters has none.
        on_violation: What a producer does with an event that breaks a rule: refuse it (``reject``), or send it on, for
            consumers to put it into the dead letters (``quarantine``).
        rules: Rules a value keeps, checked in order.
        table: Table it is stored in, None where it is not; topics of one table have one record.
    """

    topic: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,248}$")]
    description: Name
    owner: Name
    record: Name
    compatibility: Compatibility
    partitions: Annotated[int, Field(ge=1)]
    retention_ms: Annotated[int, Field(ge=-1)]
    max_message_bytes: Annotated[int, Field(ge=1_024)] = 1_048_588
    segment_bytes: Annotated[int, Field(ge=1_048_576)] = 1_073_741_824
    cleanup_policy: Literal["delete", "compact", "compact,delete"]
    timestamps: Literal["create", "append"] = "create"
    fields: EventFields
    person_after: Annotated[int, Field(ge=1)] | None = None
    producers: tuple[Name, ...]
    consumers: tuple[Name, ...]
    dead_letters: Name | None = None
    on_violation: Literal["reject", "quarantine"] = "reject"
    rules: tuple[Rule, ...] = ()
    table: TableContract | None = None

    @property
    def subject(self) -> str:
        """The registry's subject of the topic's values."""
        return f"{self.topic}-value"

    @property
    def event_types(self) -> frozenset[str | int] | None:
        """The types an event may have, as a rule lists them; None where no rule does, or no field is the type."""
        for rule in self.rules:
            if rule.field == self.fields.type and rule.when is None:
                if rule.one_of is not None:
                    return frozenset(rule.one_of)
                if rule.one_of_set is not None:
                    return frozenset(rule.one_of_set.values)
        return None

    def field_paths(self) -> Iterator[tuple[str, str]]:
        """Every field path the contract names, each with where it does."""
        for name, path in self.fields:
            if path is not None:
                yield f"fields.{name}", path
        for rule in self.rules:
            yield f"rules.{rule.name}.field", rule.field
            if rule.when is not None:
                yield f"rules.{rule.name}.when.field", rule.when.field
        for partition in self.table.partition_by if self.table else ():
            yield "table.partition_by", partition.field
        for name, path in self.table.versions or () if self.table else ():
            yield f"table.versions.{name}", path
        for expectation in self.table.expectations if self.table else ():
            if expectation.field is not None:
                yield f"table.expectations.{expectation.name}.field", expectation.field

    @model_validator(mode="after")
    def _quarantine_is_somewhere(self) -> Self:
        if self.on_violation == "quarantine" and self.dead_letters is None:
            raise ValueError("on_violation: quarantine needs dead_letters, where consumers put what breaks a rule")
        return self

    @field_validator("rules")
    @classmethod
    def _unique_names(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        return unique("rule", rules)


def read_topic(path: Path, sets: dict[str, NamedSet]) -> TopicContract:
    """Read one ``<topic>.yaml``.

    Raises:
        ContractError: Names the file and each wrong field.
    """
    try:
        data: Any = yaml.safe_load(path.read_text("utf-8"))
        contract = TopicContract.model_validate(data, context={"sets": sets})
    except yaml.YAMLError as error:
        raise ContractError(f"{path.name}: not YAML: {error}") from error
    except ValidationError as error:
        raise ContractError([f"{path.name}: {_where(data, e['loc'])}: {e['msg']}" for e in error.errors()]) from error
    if path.name != f"{contract.topic}.yaml":
        raise ContractError(f"{path.name}: topic: says {contract.topic!r}; name the file after the topic")
    return contract


def _where(data: Any, location: tuple[int | str, ...]) -> str:
    """A location as people read it: a rule by its name, not its number."""
    if len(location) > 1 and location[0] == "rules":
        rule = data["rules"][location[1]]
        name = rule.get("name", location[1]) if isinstance(rule, dict) else location[1]
        return ".".join(["rules", str(name), *map(str, location[2:])])
    return ".".join(map(str, location)) or "the file"
