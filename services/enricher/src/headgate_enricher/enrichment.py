"""The output record: the event as it came, the decision, and the event's way."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Protocol

from fastavro import parse_schema, schemaless_writer
from headgate_runtime.errors import ConfigurationError, RejectedError
from headgate_runtime.records import Headers, OutgoingRecord, Record
from headgate_runtime.tracing import EVENT_ID, TRACEPARENT
from headgate_schemas import compile_rules

from headgate_enricher.decided import AgentMetadata, is_about_decision
from headgate_enricher.way import AGENT_METADATA, PROCESSING_METADATA, processing_metadata
from headgate_enricher.work import AgentFaultError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_schemas import Getter, RecordSchema, TopicContract
    from headgate_schemas.agent import Decision, Event

    from headgate_enricher.decided import Decided
    from headgate_enricher.gateway.spending import Spent
    from headgate_enricher.review_requests import ReviewRequests
    from headgate_enricher.work import Work

METADATA = (AGENT_METADATA, PROCESSING_METADATA)
PASSED_HEADERS = frozenset({TRACEPARENT, EVENT_ID})
FRAME_BYTES = 5


class ValueEncoder(Protocol):
    """Writes a record's value; the runtime's ``Encoder`` is one."""

    @property
    def prefix(self) -> bytes:
        """Magic byte and schema id."""

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """Encode to Confluent-framed Avro."""


class Enrichment:
    """Builds output records.

    Where the output record starts with the input record's fields, and the input was written with the schema we read it
    with, the event's bytes are copied and only the metadata is encoded; otherwise the whole record is. Both give the same bytes.

    Args:
        contract: The output topic.
        read_as: The input record.
        write_as: The output record.
        encoder: Encodes the output record.
        same_frame: Frame of an input value written with ``read_as``.
        event_id: Gives an event's id, for the header of a record that came without one; None leaves it out.
        pipeline_version: Version of the enricher.
        requests: Builds the records that ask for a review.

    Raises:
        ConfigurationError: The output record has no place for the decision.
    """

    def __init__(
        self,
        *,
        contract: TopicContract,
        read_as: RecordSchema,
        write_as: RecordSchema,
        encoder: ValueEncoder,
        same_frame: bytes,
        event_id: Getter | None,
        pipeline_version: str,
        requests: ReviewRequests,
    ) -> None:
        fields = write_as.raw["fields"]
        missing = set(METADATA) - {field["name"] for field in fields}
        if missing:
            raise ConfigurationError(
                f"Record {write_as.name} of topic {contract.topic} needs the fields {sorted(missing)}."
            )
        self._topic = contract.topic
        self._encoder = encoder
        self._prefix = encoder.prefix
        rest = [field["name"] for field in fields[len(read_as.raw["fields"]) :]]
        copyable = write_as.starts_with(read_as) and rest == list(METADATA)
        self._same_frame = same_frame if copyable else None
        self._processing_schema = parse_schema(write_as.field_type(PROCESSING_METADATA))
        self._decided = AgentMetadata(write_as, contract)
        others = [rule for rule in contract.rules if not is_about_decision(rule)]
        self._check = compile_rules(contract, only=others.__contains__) if others else None
        self._event_id = event_id
        self._pipeline_version = pipeline_version
        self._requests = requests

    def build(self, work: Work, decision: Decision, spent: Spent, *, now_ms: int) -> OutgoingRecord:
        """Build the output record of a decided event.

        Args:
            work: The event, the record it came in, and the agent that decided on it.
            decision: The agent's decision.
            spent: Which model was asked, and what its answers cost.
            now_ms: When the decision was made, milliseconds since the epoch.

        Raises:
            AgentFaultError: The decision does not fit the output's contract.
        """
        record, event = work.record, work.event
        decided = self._decided.of(work.decider, decision, spent)
        processing = processing_metadata(record, now_ms, self._pipeline_version)
        try:
            value = self._encode(record, event, decided, processing)
        except RejectedError as error:
            raise AgentFaultError(f"{error}; mend the agent.") from error
        violation = self._check and self._check(
            {**event, AGENT_METADATA: decided.value, PROCESSING_METADATA: processing}
        )
        if violation:
            raise AgentFaultError(f"{violation.message}; mend the agent.", violation.field, violation.rule)
        return OutgoingRecord(self._topic, record.key, value, self._headers(record, event))

    def ask(self, output: OutgoingRecord, reason: str, *, now_ms: int) -> OutgoingRecord:
        """Build the record that asks a person about an output.

        Raises:
            AgentFaultError: The agent's reason breaks the contract of the reviews.
        """
        return self._requests.build(output, reason, now_ms=now_ms)

    def _encode(self, record: Record, event: Event, decided: Decided, processing: Mapping[str, Any]) -> bytes:
        source = record.value
        if self._same_frame is None or source is None or not source.startswith(self._same_frame):
            return self._encoder.encode({**event, AGENT_METADATA: decided.value, PROCESSING_METADATA: processing})
        buffer = io.BytesIO()
        buffer.write(self._prefix)
        buffer.write(memoryview(source)[FRAME_BYTES:])
        buffer.write(decided.written)
        schemaless_writer(buffer, self._processing_schema, processing)
        return buffer.getvalue()

    def _headers(self, record: Record, event: Event) -> Headers:
        passed = {name: value for name, value in record.headers if name in PASSED_HEADERS}
        if EVENT_ID not in passed and self._event_id is not None:
            passed[EVENT_ID] = str(self._event_id(event)).encode()
        return tuple(passed.items())
