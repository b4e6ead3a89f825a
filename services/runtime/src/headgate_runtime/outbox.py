"""What waits to be committed, and the one open transaction it is streamed into."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from headgate_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from headgate_runtime.kafka.protocols import TransactionalProducer
    from headgate_runtime.records import OutgoingRecord, TopicPartition

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 5.0

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Output:
    """An output that waits for its commit.

    Attributes:
        source: Partition its input came from.
        arrived_ms: Timestamp of the input record, milliseconds since the epoch.
        record: What is produced.
        beside: What is produced along with it, such as the request that a person look at it; None where nothing is.
    """

    source: TopicPartition
    arrived_ms: int
    record: OutgoingRecord
    beside: OutgoingRecord | None = None


class Outbox:
    """Outputs not yet committed.

    Outputs are sent into the open transaction as they come, so that the commit has little left to flush. They are kept
    until it succeeded: where the broker did not answer, the transaction is aborted and all of them go into the next one.
    An abort that fails leaves the transaction's fate unknown; its error passes, and a restart settles it.

    Args:
        transactions: The producer.
        clock: Monotonic seconds.
    """

    def __init__(self, transactions: TransactionalProducer, clock: Callable[[], float] = time.monotonic) -> None:
        self._transactions = transactions
        self._clock = clock
        self._outputs: list[Output] = []
        self._sent = 0
        self._open = False
        self._backoff_s = FIRST_BACKOFF_S
        self._resume_s = float("-inf")

    def __len__(self) -> int:
        """Outputs that wait."""
        return len(self._outputs)

    @property
    def backing_off(self) -> bool:
        """The broker did not answer a moment ago."""
        return self._clock() < self._resume_s

    def put(self, output: Output) -> None:
        """Keep an output for the next commit."""
        self._outputs.append(output)

    def stream(self) -> None:
        """Send what is new into the open transaction; does nothing while backing off."""
        if self._sent < len(self._outputs) and not self.backing_off:
            self._attempt(self._send_new)

    def commit(
        self, progress: Sequence[OutgoingRecord], offsets: Mapping[TopicPartition, int], group: Callable[[], object]
    ) -> list[Output] | None:
        """Commit all outputs with the progress, memory and offsets that belong to them.

        Args:
            progress: Progress records, and what is remembered as of the outputs.
            offsets: The group's next offsets.
            group: Gives the proof that this member owns the partitions; may raise UnavailableError.

        Returns:
            The outputs committed; None if the broker did not answer and all is kept for another try.

        Raises:
            FencedError: Another instance has taken over.
            RejectedError: The broker refused for good.
        """

        def finish() -> None:
            self._send_new()
            for record in progress:
                self._transactions.send(record)
            self._transactions.commit(offsets, group())

        if not self._attempt(finish):
            return None
        committed, self._outputs = self._outputs, []
        self._sent, self._open = 0, False
        self._backoff_s = FIRST_BACKOFF_S
        return committed

    def drop(self, sources: Collection[TopicPartition]) -> None:
        """Forget the outputs of partitions that belong to another instance now."""
        if any(output.source in sources for output in self._outputs):
            self._abort()
            self._outputs = [output for output in self._outputs if output.source not in sources]

    def close(self) -> None:
        """Abort what is open and close the producer."""
        self._abort()
        self._transactions.close()

    def _send_new(self) -> None:
        if not self._open:
            self._transactions.begin()
            self._open = True
        for index in range(self._sent, len(self._outputs)):
            output = self._outputs[index]
            self._transactions.send(output.record)
            if output.beside is not None:
                self._transactions.send(output.beside)
        self._sent = len(self._outputs)

    def _attempt(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except UnavailableError as error:
            logger.warning("transaction aborted, to be repeated", error=str(error), backoff_s=self._backoff_s)
            self._abort()
            self._resume_s = self._clock() + self._backoff_s
            self._backoff_s = min(self._backoff_s * 2, LONGEST_BACKOFF_S)
            return False
        return True

    def _abort(self) -> None:
        if self._open:
            self._transactions.abort()
        self._open = False
        self._sent = 0
