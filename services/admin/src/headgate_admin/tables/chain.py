"""The chain of a table's snapshots: each follows its parent, and no position ever moves back."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from headgate_runtime.errors import RejectedError

from headgate_admin.tables.positions import ancestry, positions_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.table.metadata import TableMetadata

    from headgate_admin.tables.positions import StoredPositions


@dataclass(frozen=True, slots=True)
class Chain:
    """What the head rests on.

    Attributes:
        snapshots: How many are there, from the head back.
        whole: It begins with the table's first commit; else older ones have expired.
        problems: What is wrong with it.
    """

    snapshots: int
    whole: bool
    problems: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        return {"snapshots": self.snapshots, "whole": self.whole, "problems": self.problems}


def check_chain(metadata: TableMetadata) -> Chain:
    """Walk from the head back as far as snapshots are there."""
    snapshots = list(ancestry(metadata, metadata.current_snapshot()))
    problems = [
        f"snapshot {child.snapshot_id} is not later than its parent {parent.snapshot_id}"
        for child, parent in pairwise(snapshots)
        if (child.sequence_number or 0) <= (parent.sequence_number or 0) and metadata.format_version > 1
    ]
    carried: list[tuple[int, StoredPositions]] = []
    for snapshot in snapshots:
        try:
            found = positions_in(snapshot)
        except RejectedError as error:
            problems.append(str(error))
            continue
        if found is not None:
            carried.append((snapshot.snapshot_id, found))
    if snapshots and not carried:
        problems.append("no snapshot carries an offset map: the writer refuses to go on from such a head")
    for (later_id, later), (_, earlier) in pairwise(carried):
        problems += [f"snapshot {later_id} moves {what}" for what in _moved_back(earlier, later)]
    return Chain(len(snapshots), not snapshots or snapshots[-1].parent_snapshot_id is None, problems)


def _moved_back(earlier: StoredPositions, later: StoredPositions) -> Iterator[str]:
    """Positions that are lower than they were; a topic that was created again starts over."""
    for topic, before in earlier.items():
        after = later.get(topic)
        if after is not None and (after.cluster_id, after.topic_id) != (before.cluster_id, before.topic_id):
            continue
        for number, end in before.ends.items():
            now = after.ends.get(number, 0) if after else 0
            if now < end:
                yield f"{topic}/{number} back from {end} to {now}"
