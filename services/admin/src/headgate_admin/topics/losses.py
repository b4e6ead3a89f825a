"""Which records a change of a topic's settings would have the brokers delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from headgate_runtime.records import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from headgate_schemas import TopicContract

    from headgate_admin.topics.plan import TopicState

_FOR_EVER = float("inf")


class Log(Protocol):
    """What is asked of the topics' logs."""

    def first_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first offset of each partition that is still in the log."""

    def high_watermarks(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end of each partition."""

    def offsets_at(self, partitions: Collection[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        """Return the offset of each partition's first record of a time or later; one without such a record is absent."""


class Losses:
    """Looks for them in the logs as they are now."""

    def __init__(self, log: Log, now_ms: int) -> None:
        """Take the time from which ages count, milliseconds since the epoch."""
        self._log = log
        self._now_ms = now_ms

    def of(self, contract: TopicContract, state: TopicState) -> Iterator[str]:
        """Say in words what would be lost, each with what to do instead."""
        before = state.config.get("cleanup.policy", "delete")
        keep_ms = _kept_ms(contract.cleanup_policy, contract.retention_ms)
        kept_ms = _kept_ms(before, int(state.config.get("retention.ms", -1)))
        partitions = [TopicPartition(contract.topic, number) for number in range(state.partitions)]
        firsts, ends = self._log.first_offsets(partitions), self._log.high_watermarks(partitions)
        if keep_ms < kept_ms and (count := self._older(firsts, ends, keep_ms)):
            yield (
                f"up to {count:,} records are older than what its contract keeps, and would be deleted: write a longer "
                f"retention_ms into {contract.topic}.yaml, or add --force"
            )
        if "compact" in contract.cleanup_policy and "compact" not in before and (held := _span(firsts, ends)):
            yield (
                f"of up to {held:,} records all but the last of each key would be deleted by compaction: move to a new "
                "topic, or add --force"
            )

    def _older(self, firsts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], keep_ms: float) -> int:
        kept = {**ends, **self._log.offsets_at(list(firsts), self._now_ms - int(keep_ms))}
        return _span(firsts, kept)


def _kept_ms(policy: str, retention_ms: int) -> float:
    """How long a record is kept whatever comes after it."""
    return retention_ms if retention_ms >= 0 and "delete" in policy else _FOR_EVER


def _span(starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> int:
    return sum(max(0, ends[partition] - start) for partition, start in starts.items())
