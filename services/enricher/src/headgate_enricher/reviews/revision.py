"""The later record of a reviewed event: the event as it was, what the person decided, and the next revision."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from headgate_runtime.errors import ConfigurationError, RejectedError
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.tracing import EVENT_ID, TRACEPARENT
from headgate_schemas import texts_getter

from headgate_enricher.intake import CONTRACT_VIOLATION, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_runtime.records import Record
    from headgate_schemas import Getter, RecordSchema

    from headgate_enricher.intake import Check

APPROVE = "approve"
TOO_LARGE = "too_large"
MASK = "[id]"
COMMENT = "outcome.comment"
_WHOLE_WORD_BELOW = 4
_PASSED = frozenset({TRACEPARENT, EVENT_ID})
_UNASKED = {
    "model_id": None,
    "prompt_hash": None,
    "model_calls": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "cost_microdollars": 0,
    "fallback_reason": None,
}
"""What the agent spent stands in the record that it is about, once."""


class Revision(NamedTuple):
    """The last revision of an event.

    Attributes:
        revision: Its number.
        outcome_offset: Offset of the outcome it came from.
    """

    revision: int
    outcome_offset: int


@dataclass(frozen=True, slots=True)
class Target:
    """The topic that takes the later records.

    Attributes:
        topic: Its name.
        record: Its record.
        encode: Encodes the record.
        check: Its rules.
        max_bytes: Largest value it takes.
    """

    topic: str
    record: RecordSchema
    encode: Callable[[Mapping[str, Any]], bytes]
    check: Check
    max_bytes: int


class Reviser:
    """Builds later records.

    Args:
        target: Where they go.
        outcome: The record they are made from.
        event_id: Gives an event's id.
        pipeline_version: Version of this service.

    Raises:
        ConfigurationError: An outcome does not hold the whole record that is to be made again.
    """

    def __init__(self, target: Target, outcome: RecordSchema, *, event_id: Getter, pipeline_version: str) -> None:
        if not outcome.starts_with(target.record):
            raise ConfigurationError(
                f"Record {outcome.name} must start with the fields of {target.record.name}, in their order."
            )
        self._target = target
        self._fields = [field["name"] for field in target.record.raw["fields"]]
        self._event_id = event_id
        self._pipeline_version = pipeline_version
        self._personal = [texts_getter(path) for path in outcome.pii if path != COMMENT]

    def build(self, record: Record, value: Mapping[str, Any], revision: int, *, now_ms: int) -> OutgoingRecord:
        """Build the later record of an outcome; the fields of the event are as they were, byte for byte.

        Args:
            record: The record the outcome came in.
            value: Its decoded value.
            revision: Number of the later record.
            now_ms: When it is made, milliseconds since the epoch.

        Raises:
            RefusedError: The outcome contradicts itself, or the later record breaks its topic's contract.
        """
        reviewed, outcome = value["agent_metadata"], value["outcome"]
        if outcome["action"] == APPROVE and outcome["decision"] != reviewed["decision"]:
            raise _refused(
                "outcome.decision is another than the one approved; write the action override",
                "outcome.decision",
                "approval_keeps_decision",
            )
        later = {name: value[name] for name in self._fields}
        later["agent_metadata"] = self._decided(record, value, revision)
        later["processing_metadata"] = value["processing_metadata"] | {
            "processing_time": now_ms,
            "pipeline_version": self._pipeline_version,
        }
        violation = self._target.check(later)
        if violation is not None:
            raise _refused(violation.message, violation.field, violation.rule)
        return OutgoingRecord(self._target.topic, record.key, self._encode(later), self._headers(record, value))

    def _decided(self, record: Record, value: Mapping[str, Any], revision: int) -> dict[str, Any]:
        reviewed, outcome = value["agent_metadata"], value["outcome"]
        found = {
            "action": outcome["action"],
            "asked_for": value["review"]["reason"],
            "reviewed_decision": reviewed["decision"],
            "reviewed_tier": reviewed["tier"],
            # Leads those who may read outcomes to who decided; nobody else.
            "outcome": f"{record.topic}/{record.partition}/{record.offset}",
        }
        evidence = [{"source": "review", "name": name, "value": text} for name, text in found.items()]
        return {
            **reviewed,
            **_UNASKED,
            "decision": outcome["decision"],
            "decision_reason": self._masked(outcome["comment"], value),
            "priority": outcome["priority"] or reviewed["priority"],
            "confidence": 1.0,
            "revision": revision,
            "tier": "human",
            "evidence": [*evidence, *reviewed["evidence"]],
        }

    def _masked(self, comment: str, value: Mapping[str, Any]) -> str:
        """A comment on one line, without the personal data that the contract tags in the event and the outcome."""
        text = " ".join(comment.split())
        for texts in self._personal:
            for identifier in texts(value):
                text = _without(text, identifier) if identifier else text
        return text

    def _encode(self, later: Mapping[str, Any]) -> bytes:
        try:
            encoded = self._target.encode(later)
        except RejectedError as error:
            raise _refused(str(error)) from error
        if len(encoded) > self._target.max_bytes:
            raise RefusedError(
                TOO_LARGE, f"The later record is larger than {self._target.max_bytes} bytes; write a shorter comment."
            )
        return encoded

    def _headers(self, record: Record, value: Mapping[str, Any]) -> tuple[tuple[str, bytes | None], ...]:
        passed = {name: content for name, content in record.headers if name in _PASSED}
        return tuple(({EVENT_ID: str(self._event_id(value)).encode()} | passed).items())


def _refused(message: str, field: str | None = None, rule: str | None = None) -> RefusedError:
    return RefusedError(CONTRACT_VIOLATION, message, field=field, rule=rule)


def _without(text: str, identifier: str) -> str:
    """Mask an identifier; a very short one as a whole word in its own case only, for it may be a common word."""
    pattern = re.escape(identifier)
    if len(identifier) < _WHOLE_WORD_BELOW:
        return re.sub(rf"(?<!\w){pattern}(?!\w)", MASK, text)
    return re.sub(pattern, MASK, text, flags=re.IGNORECASE)
