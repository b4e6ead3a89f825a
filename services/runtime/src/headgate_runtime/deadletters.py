"""Dead letters: a record that could not be processed, whole, with the cause and its position."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from headgate_runtime.records import OutgoingRecord, Record
from headgate_runtime.tracing import TRACEPARENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.avro import Encoder


_DROPPED: Final[tuple[dict[str, Any], ...]] = ({"value": None}, {"key": None, "headers": []})
_TOO_LARGE: Final = " The record is too large to be kept here: read it at its position in the source."


class DeadLetters:
    """Makes the records of a dead letter topic; the service sends them."""

    def __init__(
        self,
        encoder: Encoder,
        topic: str,
        service: str,
        *,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a maker of dead letters.

        Args:
            encoder: Encodes dead_letter records for the topic.
            topic: The dead letter topic.
            service: Who gives up.
            max_bytes: Largest value the topic takes; what would be larger goes without the source's content.
            clock: Seconds since the epoch.
        """
        self._encoder = encoder
        self._topic = topic
        self._service = service
        self._max_bytes = max_bytes
        self._clock = clock

    def record(
        self,
        source: Record,
        *,
        cause: str,
        message: str,
        field: str | None = None,
        rule: str | None = None,
        schema_id: int | None = None,
    ) -> OutgoingRecord:
        """Wrap a record; its key is the source's position, so that a repeat is recognised.

        A letter the brokers would refuse for its size would stop the service at its record for ever, so it goes
        without the value, and where that is not enough without key and headers; its message says so.

        Args:
            source: The record as consumed.
            cause: Code of the cause, as the dead_letter record lists them.
            message: What was wrong and what to do, without payload values.
            field: Path of the field that broke a rule.
            rule: Name of the rule that was broken.
            schema_id: Schema id in the frame.
        """
        value: dict[str, Any] = {
            "cause": cause,
            "message": message,
            "field": field,
            "rule": rule,
            "service": self._service,
            "failed_at": int(self._clock() * 1000),
            "source_topic": source.topic,
            "source_partition": source.partition,
            "source_offset": source.offset,
            "source_timestamp": source.timestamp_ms,
            "schema_id": None if schema_id is None else _signed(schema_id),
            "key": source.key,
            "value": source.value,
            "headers": [{"name": name, "value": content} for name, content in source.headers],
        }
        encoded = self._encoder.encode(value)
        for dropped in _DROPPED:
            if len(encoded) > self._max_bytes:
                value |= {"message": message + _TOO_LARGE, **dropped}
                encoded = self._encoder.encode(value)
        return OutgoingRecord(
            self._topic,
            f"{source.topic}/{source.partition}/{source.offset}".encode(),
            encoded,
            tuple(header for header in source.headers if header[0] == TRACEPARENT),
        )


def _signed(schema_id: int) -> int:
    """Return an id as Avro's int has it: a foreign frame may hold four bytes above its maximum."""
    return schema_id - (1 << 32) if schema_id >= 1 << 31 else schema_id
