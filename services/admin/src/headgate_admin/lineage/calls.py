"""What models were asked for one event, read back from the topic of their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.records import TopicPartition

from headgate_admin.times import iso

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.avro import Decoder
    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import Record

    from headgate_admin.deadletters.position import Position

READ_TIMEOUT_S: Final = 60.0
# Producers' clocks and the brokers' may differ by so much.
_SLACK_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One answer of a model; its text is left out, for it may speak of the person."""

    value: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        named = ("number", "agent_version", "model_id", "input_tokens", "output_tokens", "cost_microdollars", "reused")
        return {name: self.value[name] for name in named} | {"answered_at": iso(self.value["answered_at"])}


def calls_for(
    kafka: KafkaSettings, topic: str, decoder: Decoder, source: Position, window: tuple[int, int]
) -> list[ModelCall]:
    """Read the answers that were given for an event.

    An answer is on the partition of its event's number, and between the event's arrival and its decision: only that
    stretch is read, and of other events' answers only the keys.

    Args:
        kafka: How to reach the brokers.
        topic: Topic of the answers.
        decoder: Of its values.
        source: Position of the event.
        window: When it arrived and when it was decided, milliseconds since the epoch.
    """
    admin, partition = KafkaAdmin(kafka), TopicPartition(topic, source.partition)
    if topic not in admin.topics():
        return []
    start = admin.offsets_at([partition], window[0] - _SLACK_MS)
    end = admin.offsets_at([partition], window[1] + _SLACK_MS) or admin.high_watermarks([partition])
    if partition not in start:
        return []
    prefix, found = f"{source}/".encode(), list[ModelCall]()

    def take(record: Record) -> None:
        if record.key is not None and record.key.startswith(prefix):
            found.append(ModelCall(decoder.decode(record.value)))

    read_range(kafka, start, take, READ_TIMEOUT_S, ends=end)
    return sorted(found, key=lambda call: call.value["number"])
