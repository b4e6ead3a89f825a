"""From an event to a record ready to send: times normalised, schema and rules checked, keyed, encoded, headers set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from headgate_runtime.errors import RejectedError
from headgate_runtime.records import Headers, OutgoingRecord
from headgate_runtime.tracing import EVENT_ID, TRACEPARENT, new_traceparent
from headgate_schemas import Violation, broken, compile_rules, field_getter

from headgate_producer.conformity import compile_conformity
from headgate_producer.shape import leaves, shape_of
from headgate_producer.timeline import parse_iso
from headgate_producer.writing import DeclinedError, compile_writer

if TYPE_CHECKING:
    from headgate_schemas import RecordSchema, TopicContract

Normalise = Callable[[dict[str, Any]], dict[str, Any] | Violation]


class ValueEncoder(Protocol):
    """Encodes a value as its topic's consumers expect it.

    Attributes:
        prefix: Frame before each datum.
    """

    prefix: bytes

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """Encode; raises RejectedError, naming the field, where the value does not fit its schema."""


class Preparation:
    """Makes records of events, or says why not. One for a topic; safe on any number of threads."""

    def __init__(self, topic: TopicContract, record: RecordSchema, encoder: ValueEncoder) -> None:
        """Compile the contract.

        Args:
            topic: Its rules, key and event id.
            record: Newest version of its record.
            encoder: Encodes that record.
        """
        self.topic = topic.topic
        self._conformity = compile_conformity(record)
        self._rules = compile_rules(topic) if topic.on_violation == "reject" else _left_to_consumers
        self._encode = encoder.encode
        self._prefix = encoder.prefix
        self._write = compile_writer(record)
        self._normalise = compile_times(record)
        self._key = field_getter(topic.fields.key) if topic.fields.key else None
        self._event_id = field_getter(topic.fields.event_id) if topic.fields.event_id else None

    def normalise(self, event: dict[str, Any]) -> dict[str, Any] | Violation:
        """Turn ISO 8601 texts in timestamp fields into integers; the event itself is not changed."""
        return self._normalise(event)

    def event_id(self, event: Mapping[str, Any]) -> Any:
        """The event's id, None where it has none or its contract names no such field."""
        return self._event_id(event) if self._event_id is not None else None

    def prepare(self, event: dict[str, Any], parent: bytes | None = None) -> OutgoingRecord | Violation:
        """Check and encode an event.

        The record carries no timestamp of its own: an old event's would let retention delete it at once.

        Args:
            event: A normalised event.
            parent: Valid traceparent of what the event came in, passed on as it is; None starts a trace that nobody
                records.

        Returns:
            The record, or the first rule that the event breaks: of the schema, then of the contract. Where the contract
            quarantines violations, its rules are left to the consumers.
        """
        value = self._written(event)
        if isinstance(value, Violation):
            return value
        violation = self._rules(event)
        if violation is not None:
            return violation
        return OutgoingRecord(self.topic, self._key_of(event), value, self._headers(event, parent))

    def _written(self, event: dict[str, Any]) -> bytes | Violation:
        """The event's bytes; what the fast writer declines is checked and encoded with care."""
        if self._write is not None:
            try:
                return self._prefix + self._write(event)
            except DeclinedError:
                pass
        violation = self._conformity(event)
        if violation is not None:
            return violation
        try:
            return self._encode(event)
        except RejectedError as error:
            return Violation("", "schema_encoding", str(error))

    def _key_of(self, event: Mapping[str, Any]) -> bytes | None:
        key = self._key(event) if self._key is not None else None
        return None if key is None else str(key).encode()

    def _headers(self, event: Mapping[str, Any], parent: bytes | None) -> Headers:
        traceparent = (TRACEPARENT, parent or new_traceparent())
        event_id = self.event_id(event)
        return (traceparent,) if event_id is None else ((EVENT_ID, str(event_id).encode()), traceparent)


def _left_to_consumers(_: Mapping[str, Any]) -> None:
    """Refuse nothing: who reads the topic puts what breaks a rule into the dead letters."""


def compile_times(record: RecordSchema) -> Normalise:
    """Build the function that turns ISO 8601 texts into integers, in every field whose logical type is a timestamp."""
    paths = [
        (path.split("."), field_getter(path), 1000 if leaf.logical == "timestamp-micros" else 1)
        for path, leaf in leaves(shape_of(record.schema))
        if leaf.logical in {"timestamp-millis", "timestamp-micros"}
    ]

    def normalise(event: dict[str, Any]) -> dict[str, Any] | Violation:
        for parts, get, scale in paths:
            text = get(event)
            if not isinstance(text, str):
                continue
            try:
                event = _with(event, parts, parse_iso(text) * scale)
            except ValueError:
                field = ".".join(parts)
                expected = (
                    "milliseconds since the epoch or an ISO 8601 time with its zone, such as 2026-01-31T12:00:00Z"
                )
                return broken(field, "schema_type", f"must be {expected}", text)
        return event

    return normalise


def _with(event: dict[str, Any], parts: list[str], value: Any) -> dict[str, Any]:
    """A copy of the event that differs in one field; what is not on the path is shared."""
    head, *rest = parts
    return {**event, head: _with(event[head], rest, value) if rest else value}
