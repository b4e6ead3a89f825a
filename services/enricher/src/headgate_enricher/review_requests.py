"""Records that ask a person: the decided event as it goes out, and why someone should see it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from fastavro import parse_schema, schemaless_writer
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import OutgoingRecord

from headgate_enricher.work import AgentFaultError

if TYPE_CHECKING:
    from headgate_schemas import RecordSchema

    from headgate_enricher.intake import Check

REVIEW = "review"
FRAME_BYTES = 5


class ReviewRequests:
    """Builds the records of the reviews topic; the bytes of the decided event are copied.

    Args:
        topic: The reviews topic.
        decided: The record of decided events.
        asked: The record of reviews.
        prefix: Frame of a review's value.
        check: Rules of the reviews topic, about the review alone: the decided event has kept those of its own topic.

    Raises:
        ConfigurationError: A review is not a decided event followed by what is asked.
    """

    def __init__(self, *, topic: str, decided: RecordSchema, asked: RecordSchema, prefix: bytes, check: Check) -> None:
        rest = asked.raw["fields"][len(decided.raw["fields"]) :]
        if not asked.starts_with(decided) or [field["name"] for field in rest] != [REVIEW]:
            raise ConfigurationError(
                f"Record {asked.name} of topic {topic} must have the fields of {decided.name}, and then {REVIEW!r}."
            )
        self._topic = topic
        self._prefix = prefix
        self._schema = parse_schema({"type": "record", "name": "part", "fields": rest})
        self._check = check

    def build(self, decided: OutgoingRecord, reason: str, *, now_ms: int) -> OutgoingRecord:
        """Build a review of a decided event, with its key and headers.

        Args:
            decided: The output record.
            reason: Code of why a person should see it.
            now_ms: When it is asked for, milliseconds since the epoch.

        Raises:
            AgentFaultError: The reason breaks the contract.
        """
        asked = {REVIEW: {"reason": reason, "requested_at": now_ms}}
        violation = self._check(asked)
        if violation is not None:
            raise AgentFaultError(f"{violation.message}; mend the agent.", violation.field, violation.rule)
        buffer = io.BytesIO()
        buffer.write(self._prefix)
        buffer.write(memoryview(decided.value or b"")[FRAME_BYTES:])
        schemaless_writer(buffer, self._schema, asked)
        return OutgoingRecord(self._topic, decided.key, buffer.getvalue(), decided.headers)
