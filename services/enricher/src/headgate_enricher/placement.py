"""Partitions that are assigned and whose place is not known yet: where the last owner's last commit left them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import structlog
from headgate_runtime.errors import UnavailableError

from headgate_enricher.progress import START

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from headgate_runtime.kafka.protocols import RecordConsumer
    from headgate_runtime.records import TopicPartition

    from headgate_enricher.progress import Mark

Placed = TypeVar("Placed")
FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 5.0

logger = structlog.get_logger(__name__)


class Marks(Protocol):
    """Knows how far partitions are."""

    def load(self, partitions: Sequence[TopicPartition], consumer: RecordConsumer) -> Mapping[TopicPartition, Mark]:
        """The marks to start from; absent where the group has never committed."""


class Placement(Generic[Placed]):
    """Finds out where new partitions are to be read from, as often as that takes.

    The answer may stay away for as long as a transaction that the last owner died with is open. Waiting for it inside
    the group's assignment would stall the loop, and to give up would end the process, again and again.

    Args:
        marks: Knows how far partitions are.
        consumer: The group member that owns them.
        restore: Reads back what belongs to partitions at their marks; called again after it raised UnavailableError.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        marks: Marks,
        consumer: RecordConsumer,
        restore: Callable[[Mapping[TopicPartition, Mark]], Mapping[TopicPartition, Placed]],
        clock: Callable[[], float],
    ) -> None:
        self._marks = marks
        self._consumer = consumer
        self._restore = restore
        self._clock = clock
        self._since_s: dict[TopicPartition, float] = {}
        self._backoff_s = FIRST_BACKOFF_S
        self._resume_s = float("-inf")

    def __len__(self) -> int:
        """Partitions that wait."""
        return len(self._since_s)

    @property
    def due(self) -> bool:
        """Partitions wait and it is time to try."""
        return bool(self._since_s) and self._clock() >= self._resume_s

    @property
    def oldest_s(self) -> float:
        """Since when the first of them waits; infinity where none does."""
        return min(self._since_s.values(), default=float("inf"))

    def expect(self, partitions: Collection[TopicPartition]) -> None:
        """Let partitions wait for their place; the next try is due at once."""
        self._since_s |= dict.fromkeys(partitions, self._clock())
        self._backoff_s, self._resume_s = FIRST_BACKOFF_S, float("-inf")

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """Let go of partitions that have gone."""
        for partition in partitions:
            self._since_s.pop(partition, None)

    def place(self) -> Iterator[Placed]:
        """Point the consumer at the partitions' places and give each, with what was restored of it.

        Where the broker does not answer, the rest waits for a later try.

        Raises:
            ConfigurationError: A progress record cannot be read.
        """
        try:
            yield from self._place()
        except UnavailableError as error:
            self._resume_s = self._clock() + self._backoff_s
            logger.warning(
                "partitions wait for their place",
                partitions=len(self),
                waited_s=round(self._clock() - self.oldest_s, 1),
                backoff_s=self._backoff_s,
                error=str(error),
            )
            self._backoff_s = min(self._backoff_s * 2, LONGEST_BACKOFF_S)

    def _place(self) -> Iterator[Placed]:
        waiting = sorted(self._since_s)
        marks = self._marks.load(waiting, self._consumer)
        begins = self._consumer.begin_offsets([source for source in waiting if source not in marks])
        restored = self._restore({source: marks.get(source, START) for source in waiting})
        for source in waiting:
            mark = marks.get(source)
            self._consumer.seek(source, mark.watermark if mark else begins[source])
            del self._since_s[source]
            yield restored[source]
