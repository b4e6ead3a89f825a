"""Follows one partition of the broker in memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from headgate_runtime.errors import RejectedError

if TYPE_CHECKING:
    from headgate_runtime.records import Record, TopicPartition
    from headgate_runtime.testing.broker import MemoryBroker

_STEP_S: Final = 0.002


class MemoryTail:
    """Does in memory what ``headgate_runtime.kafka.tail.KafkaTail`` does."""

    def __init__(self, broker: MemoryBroker, partition: TopicPartition) -> None:
        self._broker = broker
        self._partition = partition
        self._position = 0

    def bounds(self) -> tuple[int, int]:
        """Return the first offset in the log and the offset after the last; logs in memory keep everything."""
        with self._broker.lock:
            self._broker.check_available()
            return 0, self._broker.log(self._partition).stable_end

    def start(self, offset: int) -> None:
        """Read from an offset on."""
        self._position = offset

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return what there is in order; an outage is waited out.

        Raises:
            RejectedError: The offset is outside the log.
        """
        deadline = time.monotonic() + timeout_s
        while not (records := self._read(max_records)) and time.monotonic() < deadline:
            time.sleep(_STEP_S)
        return records

    def position(self) -> int:
        """The next offset to be read."""
        return self._position

    def close(self) -> None:
        """Hold nothing."""

    def _read(self, limit: int) -> list[Record]:
        with self._broker.lock:
            if not self._broker.available:
                return []
            log = self._broker.log(self._partition)
            if not 0 <= self._position <= log.end:
                raise RejectedError(f"offset {self._position} is outside the log of {self._partition.topic}")
            records, self._position = log.visible(self._position, limit)
            return records
