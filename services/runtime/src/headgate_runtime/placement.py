"""Partitions that are assigned and whose place is not known yet: where the last owner's last commit left them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

import structlog

from headgate_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from headgate_runtime.kafka.protocols import RecordConsumer
    from headgate_runtime.records import TopicPartition

FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 5.0

logger = structlog.get_logger(__name__)


class Place(Protocol):
    """Where a partition is to be read from."""

    @property
    def watermark(self) -> int:
        """Everything below this offset is done."""


PlaceT = TypeVar("PlaceT", bound=Place)
Known_co = TypeVar("Known_co", bound=Place, covariant=True)
Placed = TypeVar("Placed")


class Marks(Protocol[Known_co]):
    """Knows how far partitions are."""

    def load(self, partitions: Sequence[TopicPartition], consumer: RecordConsumer) -> Mapping[TopicPartition, Known_co]:
        """The marks to start from; absent where the group has never committed."""


class Offset(NamedTuple):
    """The place of a partition whose records are done in order."""

    watermark: int


class CommittedOffsets:
    """Where a group that works in order has left its partitions: at its committed offsets."""

    @staticmethod
    def load(partitions: Sequence[TopicPartition], consumer: RecordConsumer) -> dict[TopicPartition, Offset]:
        """The marks to start from; asking for them waits for the last owner's pending transaction."""
        return {source: Offset(offset) for source, offset in consumer.committed(partitions).items()}


class Placement(Generic[PlaceT, Placed]):
    """Finds out where new partitions are to be read from, as often as that takes.

    The answer may stay away for as long as a transaction that the last owner died with is open. Waiting for it inside
    the group's assignment would stall the loop, and to give up would end the process, again and again.

    Args:
        marks: Knows how far partitions are.
        consumer: The group member that owns them.
        restore: Reads back what belongs to partitions at their marks; called again after it raised UnavailableError.
        start: The mark of a partition that has none.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        marks: Marks[PlaceT],
        consumer: RecordConsumer,
        restore: Callable[[Mapping[TopicPartition, PlaceT]], Mapping[TopicPartition, Placed]],
        start: PlaceT,
        clock: Callable[[], float],
    ) -> None:
        self._marks = marks
        self._consumer = consumer
        self._restore = restore
        self._start = start
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
        restored = self._restore({source: marks.get(source, self._start) for source in waiting})
        for source in waiting:
            mark = marks.get(source)
            self._consumer.seek(source, mark.watermark if mark else begins[source])
            del self._since_s[source]
            yield restored[source]
