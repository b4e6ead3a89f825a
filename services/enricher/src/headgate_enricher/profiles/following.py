"""Profiles of the assigned partitions' keys: read back at assignment, followed while events are decided."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import structlog
from headgate_runtime.errors import HeadgateError, RejectedError, UnavailableError
from headgate_schemas.agent import Window

from headgate_enricher.profiles.windows import WindowTable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from headgate_runtime.records import Record, TopicPartition
    from headgate_schemas.agent import Profile

    from headgate_enricher.intake import Check, ValueDecoder
    from headgate_enricher.profiles.metrics import ProfileMetrics

RESTORE_S = 10.0
RESTORE_RECORDS = 10_000
RESTORE_WAIT_S = 0.05
STEP_RECORDS = 500
RESUME_S = 10.0
LOG_INTERVAL_S = 10.0

logger = structlog.get_logger(__name__)


class Follower(Protocol):
    """Partitions of one topic, read without a group; the runtime's ``KafkaFollower`` is one."""

    @property
    def behind(self) -> bool:
        """Whether the end of an added partition was not reached yet."""

    def add(self, numbers: Collection[int]) -> None:
        """Read these partitions as well, from their first records on."""

    def drop(self, numbers: Collection[int]) -> None:
        """Read these partitions no more."""

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return what there is, waiting for so many records at most ``timeout_s`` seconds."""

    def close(self) -> None:
        """Let go of the connection."""


class Profiles:
    """What the processor told of keys. It lags behind events, and it is evidence: where it is missing, nothing waits.

    All of it runs on the loop's thread. Records are kept as they are, and decoded when a model is to be asked.

    Args:
        follower: Reads the topic, whose partitions have the keys of the source's partitions of the same numbers.
        decoder: Decodes ``account_profile`` records.
        check: The topic's rules.
        capacity: Most keys held.
        metrics: Metrics.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        follower: Follower,
        decoder: ValueDecoder,
        check: Check,
        *,
        capacity: int,
        metrics: ProfileMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._follower = follower
        self._decode = decoder.decode
        self._check = check
        self._table = WindowTable(capacity)
        self._metrics = metrics
        self._clock = clock
        self._newest_ms = 0
        self._resume_s = self._logged_s = float("-inf")

    def assign(self, sources: Collection[TopicPartition]) -> None:
        """Read back what was told of partitions' keys, to the end; what that leaves out of its time is followed later."""
        numbers = [source.partition for source in sources]
        if not numbers:
            return
        self._table.add(numbers)
        self._follower.add(numbers)
        started_s = self._clock()
        records = 0
        while self._follower.behind and self._clock() - started_s < RESTORE_S:
            records += self._step(RESTORE_RECORDS, RESTORE_WAIT_S)
        seconds = round(self._clock() - started_s, 3)
        logger.info(
            "profiles read", partitions=numbers, records=records, seconds=seconds, to_the_end=not self._follower.behind
        )

    def drop(self, sources: Collection[TopicPartition]) -> None:
        """Forget partitions that belong to another instance now; those that are not held are passed over."""
        numbers = [source.partition for source in sources if source.partition in self._table.partitions]
        if numbers:
            self._table.drop(numbers)
            self._follower.drop(numbers)
            self._metrics.followed(held=len(self._table), newest_ms=self._newest_ms)

    def follow(self) -> None:
        """Take in some of what was told since; never waits."""
        self._step(STEP_RECORDS, 0.0)

    def of(self, source: TopicPartition, key: bytes | None) -> Profile | None:
        """The last windows told of a key of an assigned partition; None where there are none that can be read."""
        told = self._table.of(source.partition, key) if key is not None else {}
        if not told or self._clock() < self._resume_s:
            self._metrics.looked_up("absent")
            return None
        try:
            profile = {name: self._window(value) for name, value in told.items()}
        except HeadgateError as error:
            self._unreadable(source, error)
            return None
        self._metrics.looked_up("found")
        return profile

    def close(self) -> None:
        """Let go of the connection."""
        self._follower.close()

    def _window(self, value: bytes) -> Window:
        record = self._decode(value)
        violation = self._check(record)
        if violation is not None:
            raise RejectedError(violation.message)
        return Window.of(record)

    def _unreadable(self, source: TopicPartition, error: HeadgateError) -> None:
        self._metrics.looked_up("unreadable")
        now_s = self._clock()
        if isinstance(error, UnavailableError):
            self._resume_s = now_s + RESUME_S  # asking the registry keeps the loop: not for each event while it is away
        if now_s - self._logged_s >= LOG_INTERVAL_S:
            self._logged_s = now_s
            logger.warning("a profile cannot be read", source=source, error=str(error))

    def _step(self, most: int, timeout_s: float) -> int:
        records = self._follower.poll(most, timeout_s)
        for record in records:
            self._table.take(record)
            self._newest_ms = max(self._newest_ms, record.timestamp_ms)
        if records:
            self._metrics.followed(held=len(self._table), newest_ms=self._newest_ms)
        return len(records)
