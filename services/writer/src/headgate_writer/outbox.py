"""Dead letters on their way to the broker, counted so that no commit passes an offset whose letter may be lost."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.errors import HeadgateError, UnavailableError

if TYPE_CHECKING:
    from headgate_runtime.kafka.protocols import RecordProducer
    from headgate_runtime.records import OutgoingRecord

_log = structlog.get_logger()

_CLOSE_TIMEOUT_S = 1.0


@dataclass(slots=True)
class Receipts:
    """Dead letters of a batch that the broker has not acknowledged yet."""

    pending: int = 0

    @property
    def settled(self) -> bool:
        """Tell whether the broker has acknowledged all of them."""
        return self.pending == 0


class Outbox:
    """Sends dead letters until the broker has them. Every call, and every callback, is on the loop's thread.

    A letter whose acknowledgement was lost is sent again: its key is the position of its record, so a reader can
    tell a repeat.
    """

    def __init__(self, producer: RecordProducer) -> None:
        self._producer = producer
        self._backlog: deque[tuple[OutgoingRecord, Receipts]] = deque()
        self._refused: HeadgateError | None = None

    def put(self, letter: OutgoingRecord, receipts: Receipts) -> None:
        """Queue a dead letter on the account of its batch."""
        receipts.pending += 1
        self._backlog.append((letter, receipts))

    def pump(self) -> None:
        """Hand over what is queued and take in acknowledgements; never waits.

        Raises:
            HeadgateError: The broker refused a letter for good.
        """
        while self._backlog:
            letter, receipts = self._backlog[0]
            try:
                self._producer.send(letter, partial(self._delivered, letter, receipts))
            except UnavailableError:
                break
            self._backlog.popleft()
        self._producer.poll()
        if self._refused is not None:
            raise self._refused

    def close(self) -> None:
        """Close the producer without much ado: a letter it still has is of a batch that did not land, and comes again."""
        try:
            self._producer.close(_CLOSE_TIMEOUT_S)
        except UnavailableError as error:
            _log.warning("dead letters left to whoever reads their records next", error=str(error))

    def _delivered(self, letter: OutgoingRecord, receipts: Receipts, error: HeadgateError | None) -> None:
        if error is None:
            receipts.pending -= 1
        elif isinstance(error, UnavailableError):
            self._backlog.append((letter, receipts))
        else:
            self._refused = error
