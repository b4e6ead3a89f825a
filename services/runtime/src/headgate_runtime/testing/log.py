"""The log of one partition: records, transaction markers, and what a reader of committed records sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_runtime.records import Record


@dataclass
class PartitionLog:
    """One offset an entry; a marker is an entry without a record, so transactions leave gaps as on a real broker.

    Attributes:
        entries: Record and the transaction it belongs to; None for a marker.
        open: First offset of each open transaction.
        aborted: Transactions whose records nobody sees.
    """

    entries: list[tuple[Record | None, int | None]] = field(default_factory=list)
    open: dict[int, int] = field(default_factory=dict)
    aborted: set[int] = field(default_factory=set)

    @property
    def end(self) -> int:
        """The high watermark: the offset of the next entry."""
        return len(self.entries)

    @property
    def stable_end(self) -> int:
        """The last stable offset: the first entry of the oldest open transaction, else the end."""
        return min(self.open.values(), default=self.end)

    def append(self, record: Record, transaction: int | None) -> None:
        """Add a record, as part of a transaction or on its own."""
        if transaction is not None:
            self.open.setdefault(transaction, self.end)
        self.entries.append((record, transaction))

    def decide(self, transaction: int, *, committed: bool) -> None:
        """End a transaction with a marker, which takes an offset of its own."""
        if self.open.pop(transaction, None) is None:
            return
        self.entries.append((None, transaction))
        if not committed:
            self.aborted.add(transaction)

    def visible(self, offset: int, limit: int) -> tuple[list[Record], int]:
        """Return up to ``limit`` committed records from an offset on, and the offset to go on from."""
        found: list[Record] = []
        stable_end = self.stable_end
        while offset < stable_end and len(found) < limit:
            record, transaction = self.entries[offset]
            if record is not None and transaction not in self.aborted:
                found.append(record)
            offset += 1
        # Gaps that follow are passed at once, as a fetch does.
        while offset < stable_end and self._hidden(offset):
            offset += 1
        return found, offset

    def _hidden(self, offset: int) -> bool:
        record, transaction = self.entries[offset]
        return record is None or transaction in self.aborted
