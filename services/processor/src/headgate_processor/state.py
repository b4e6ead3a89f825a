"""What the processor keeps beside the partitions it reads, and how it is read back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headgate_processor.keyed import KeyedWindows, Plan, StateCodec, read_state, written_json
from headgate_processor.merging import MERGED_KEY, MergedCodec, MergedWindows, MergePartition, Progress
from headgate_processor.output import part_teller
from headgate_processor.source import CLOCK_KEY, NOT_BEGUN, SourcePartition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headgate_runtime.avro import Decoder, Encoder
    from headgate_runtime.records import OutgoingRecord, TopicPartition
    from headgate_runtime.state import Codec, StateStore

    from headgate_processor.output import Profiles

_CLOCK: Final = "clock"
_MARKS: Final = "marks"


class JsonCodec:
    """Writes and reads a small value as a ``processor_state`` record.

    Args:
        encoder: Encodes the record.
        decoder: Decodes it.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        self._encode = encoder.encode
        self._decode = decoder.decode

    def dump(self, state: Any) -> bytes:
        """Encode a value."""
        return self._encode({"due": 0, "state": written_json(state)})

    def load(self, value: bytes) -> Any:
        """Decode a value; raises ConfigurationError where the record is none."""
        return json.loads(read_state(self._decode, value)["state"])


@dataclass(frozen=True, slots=True)
class Layout:
    """Which states there are, and in which namespaces.

    Attributes:
        group: The consumer group, which every namespace begins with.
        profiles: Definitions with whole windows in each partition.
        metrics: Definitions with parts of windows there.
        profile_records: Makes records of whole windows.
        encoder: Of ``processor_state`` records.
        decoder: Of the same.
        source_partitions: How many partitions the events have.
    """

    group: str
    profiles: Sequence[Plan]
    metrics: Sequence[Plan]
    profile_records: Profiles
    encoder: Encoder
    decoder: Decoder
    source_partitions: int

    def source_codecs(self) -> Mapping[str, Codec[Any]]:
        """Codecs of what is kept beside the events, by namespace."""
        own = {f"{self.group}/{_CLOCK}": JsonCodec(self.encoder, self.decoder)}
        keyed = {
            f"{self.group}/{plan.namespace}": StateCodec(plan, self.encoder, self.decoder)
            for plan in (*self.profiles, *self.metrics)
        }
        return {**own, **keyed}

    def merge_codecs(self) -> Mapping[str, Codec[Any]]:
        """Codecs of what is kept beside the parts, by namespace."""
        own = {f"{self.group}/{_MARKS}": JsonCodec(self.encoder, self.decoder)}
        merged = {
            f"{self.group}/merged/{plan.namespace}": MergedCodec(plan, self.encoder, self.decoder)
            for plan in self.metrics
        }
        return {**own, **merged}

    def source_partition(self, source: TopicPartition, states: StateStore[Any]) -> SourcePartition:
        """A partition of the events as its last commit left it; its states are restored already."""
        clock, *keyed = states.of(source)
        made: list[OutgoingRecord] = []
        parts: list[Mapping[str, Any]] = []
        whole = len(self.profiles)
        profiles = [
            KeyedWindows(plan, state, self._due_of, self.profile_records.teller(plan, source.partition, made))
            for plan, state in zip(self.profiles, keyed[:whole], strict=True)
        ]
        metrics = [
            KeyedWindows(plan, state, self._due_of, part_teller(plan, parts))
            for plan, state in zip(self.metrics, keyed[whole:], strict=True)
        ]
        watermark = clock.get(CLOCK_KEY)
        return SourcePartition(
            source, profiles, metrics, made, parts, clock, NOT_BEGUN if watermark is None else int(watermark)
        )

    def merge_partition(self, source: TopicPartition, states: StateStore[Any]) -> MergePartition:
        """The partition of the parts as its last commit left it; its states are restored already."""
        marks, *merged = states.of(source)
        windows = {
            plan.hash: MergedWindows(plan, state, self._due_of)
            for plan, state in zip(self.metrics, merged, strict=True)
        }
        progress = {number: Progress() for number in range(self.source_partitions)}
        kept = [key for key, _ in marks.encoded() if key != MERGED_KEY]
        progress |= {int(key): Progress(*(marks.get(key) or ())) for key in kept}
        return MergePartition(source, windows, marks, progress, marks.get(MERGED_KEY))

    def _due_of(self, value: bytes) -> int:
        return int(read_state(self.decoder.decode, value)["due"])
