"""Partitions on which nothing comes: their watermark moves with the wall clock, so that the last windows close too."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headgate_runtime.kafka.protocols import RecordConsumer

    from headgate_processor.source import SourcePartition

LOOK_EVERY_S = 1.0

logger = structlog.get_logger(__name__)


class Idleness:
    """Decides when a partition is idle: read to its end, as the brokers say, and without a record for a while.

    From then on its watermark moves as fast as the wall clock, beginning where the last event left it: events need not
    be of today. As long as anything is left to be read, it does not.

    Args:
        consumer: The group member.
        after_s: Seconds without a record; None: no partition is ever idle.
        clock: Monotonic seconds.
    """

    def __init__(
        self, consumer: RecordConsumer, after_s: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._consumer = consumer
        self._after_s = after_s
        self._clock = clock
        self._look_s = float("-inf")

    def seen(self, partition: SourcePartition) -> None:
        """Records have come on a partition, or it has come itself."""
        partition.moved_s = self._clock()
        if partition.idle:
            partition.idle = False
            partition.changed = True

    def pass_time(self, partitions: Sequence[SourcePartition]) -> float:
        """Move the watermarks of idle partitions on; returns the seconds of event time, of all of them together."""
        now_s = self._clock()
        if self._after_s is None or now_s < self._look_s:
            return 0.0
        self._look_s = now_s + LOOK_EVERY_S
        quiet = [each for each in partitions if now_s - each.moved_s >= (0 if each.idle else self._after_s)]
        passed_s = 0.0
        for partition in self._at_end(quiet):
            if partition.idle:
                passed_s += now_s - partition.moved_s
                partition.advance(round((now_s - partition.moved_s) * 1000))
            else:
                partition.idle = partition.changed = True
            partition.moved_s = now_s
        return passed_s

    def _at_end(self, partitions: Sequence[SourcePartition]) -> list[SourcePartition]:
        if not partitions:
            return []
        try:
            ends = self._consumer.end_offsets([each.source for each in partitions])
            return [each for each in partitions if (self._consumer.position(each.source) or 0) >= ends[each.source]]
        except UnavailableError as error:
            logger.warning("idle partitions wait for the brokers", partitions=len(partitions), error=str(error))
            for partition in partitions:
                partition.moved_s = self._clock()
            return []
