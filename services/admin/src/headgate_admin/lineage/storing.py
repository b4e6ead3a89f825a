"""Which snapshot stored a row, by the offset maps: no file is read for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headgate_admin.tables.positions import ancestry, positions_in
from headgate_admin.times import iso

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

    from headgate_admin.deadletters.position import Position


@dataclass(frozen=True, slots=True)
class StoredBy:
    """The commit that stored a position.

    Attributes:
        snapshot_id: The oldest kept snapshot that is past the position.
        committed_ms: When it was committed, milliseconds since the epoch.
        exact: Whether its predecessor is kept and is not past it; else an expired one may have stored the row before.
    """

    snapshot_id: int
    committed_ms: int
    exact: bool

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        return {"snapshot_id": self.snapshot_id, "committed": iso(self.committed_ms), "exact": self.exact}


def stored_by(metadata: TableMetadata, position: Position) -> StoredBy | None:
    """Find the commit that stored a position; None where no kept snapshot is past it.

    Raises:
        RejectedError: A snapshot carries something else than an offset map.
    """
    found: StoredBy | None = None
    for snapshot in ancestry(metadata, metadata.current_snapshot()):
        positions = positions_in(snapshot)
        if positions is None:
            continue
        stored = positions.get(position.topic)
        if stored is None or stored.ends.get(position.partition, 0) <= position.offset:
            return None if found is None else StoredBy(found.snapshot_id, found.committed_ms, exact=True)
        found = StoredBy(snapshot.snapshot_id, snapshot.timestamp_ms, exact=False)
    return found
