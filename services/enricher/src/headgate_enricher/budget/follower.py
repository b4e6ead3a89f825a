"""Follows the log: catches up from the last checkpoint, then applies entry by entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog
from headgate_runtime.errors import UndecodableError

from headgate_enricher.budget.entries import Checkpoint
from headgate_enricher.budget.ledger import Ledger, Reserve, SetLimits, Settle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headgate_runtime.records import Record

    from headgate_enricher.budget.entries import Entry, EntryCodec

SPAN = 25_000  # records read back at first; several times the distance between checkpoints
BATCH = 1_000
WAIT_S = 0.1

logger = structlog.get_logger(__name__)


class Tail(Protocol):
    """One partition, read without a group."""

    def bounds(self) -> tuple[int, int]:
        """Ask the broker for the first offset in the log and the offset after the last."""

    def start(self, offset: int) -> None:
        """Read from an offset on."""

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return what there is, waiting for the first record at most ``timeout_s`` seconds."""

    def position(self) -> int:
        """The next offset to be read."""

    def close(self) -> None:
        """Let go of the connection."""


class Follower:
    """A ledger and the offset up to which it is applied.

    Args:
        codec: Decodes entries.
        ours: Prefix of the ids whose outcome is wanted.

    Attributes:
        ledger: The ledger.
        offset: Everything below is applied.
        since_checkpoint: Entries seen since the last checkpoint in the log.
        unreadable: Records that were no entries; every replica passes over the same ones.
    """

    def __init__(self, codec: EntryCodec, ours: str) -> None:
        self.ledger = Ledger()
        self.offset = 0
        self.since_checkpoint = 0
        self.unreadable = 0
        self._codec = codec
        self._ours = ours

    def apply(self, records: Sequence[Record]) -> list[tuple[str, bool]]:
        """Apply records in order; return which of our reservations and limits were granted."""
        return [each for record in records if (each := self._apply(record)) is not None]

    def catch_up(self, tail: Tail, stopped: Callable[[], bool], *, span: int = SPAN) -> list[tuple[str, bool]]:
        """Read what decides the present, up to the end of the log as it is now; return as ``apply``.

        It starts ``span`` records before the end; where there is no checkpoint from there on, at the beginning. Stops
        early when told to.
        """
        begin, end = tail.bounds()
        for start in sorted({max(begin, end - span), begin}, reverse=True):
            outcomes = self._replay(tail, start, end, stopped, whole=start == begin)
            if outcomes is not None:
                return outcomes
        return []

    def checkpoint(self, entry_id: str) -> Checkpoint:
        """The checkpoint of now."""
        return Checkpoint(entry_id, self.offset, self.ledger.state())

    def _replay(
        self, tail: Tail, start: int, end: int, stopped: Callable[[], bool], *, whole: bool
    ) -> list[tuple[str, bool]] | None:
        """Apply a stretch from its first checkpoint on, or all of it where it is the whole log; None without either."""
        tail.start(start)
        pending: list[Record] = []
        based = False
        outcomes: list[tuple[str, bool]] = []
        while tail.position() < end and not stopped():
            for record in tail.poll(BATCH, WAIT_S):
                entry = None if based else self._decode(record)
                pending.append(record)
                if isinstance(entry, Checkpoint) and entry.offset >= start:
                    self.ledger, self.offset, based = Ledger.restore(entry.state), entry.offset, True
                    pending = [each for each in pending if each.offset >= entry.offset]
            if based:
                outcomes += self.apply(pending)
                pending.clear()
        if not based and not whole:
            return None
        self.offset = self.offset if based else start
        return outcomes + self.apply(pending)

    def _apply(self, record: Record) -> tuple[str, bool] | None:
        entry = self._decode(record)
        self.offset = record.offset + 1
        self.since_checkpoint += 1
        granted = True
        match entry:
            case Reserve():
                granted = self.ledger.reserve(entry, record.timestamp_ms)
            case Settle():
                self.ledger.settle(entry, record.timestamp_ms)
                return None
            case SetLimits():
                self.ledger.set_limits(entry, record.timestamp_ms)
            case Checkpoint():
                self.since_checkpoint = 0
                return None
            case None:
                self.unreadable += 1
                return None
        return (entry.id, granted) if entry.id.startswith(self._ours) else None

    def _decode(self, record: Record) -> Entry | None:
        try:
            return self._codec.decode(record.value)
        except UndecodableError as error:
            logger.warning(
                "not an entry of the budget ledger", offset=record.offset, cause=error.cause, error=str(error)
            )
            return None
