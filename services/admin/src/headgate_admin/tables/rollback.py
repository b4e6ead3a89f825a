"""Taking a table back to an earlier snapshot, and with it the positions from which its topics are read on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headgate_runtime.errors import RejectedError, UnavailableError
from headgate_runtime.records import TopicPartition

from headgate_admin.tables.positions import ancestry, positions_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from headgate_admin.tables.positions import StoredPositions


@dataclass(frozen=True, slots=True)
class Move:
    """A partition's position, before and after.

    Attributes:
        partition: The partition.
        before: Next offset to store as it is now.
        after: The same at the snapshot.
        lost: Records between the two that have left the log, so that nobody can store them again.
    """

    partition: TopicPartition
    before: int
    after: int
    lost: int = 0

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self.partition.topic}/{self.partition.partition}"


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback would do.

    Attributes:
        table: Name with namespace.
        head: The head as it is now.
        target: The head as it would be.
        snapshots: Snapshots that would no longer be the head's.
        rows: Rows that would go; negative where rows come back. None where the snapshots do not say how many they have.
        moves: Partitions whose position moves.
        topics: The topics these positions are of, with every partition of either side.
    """

    table: str
    head: int
    target: int
    snapshots: int
    rows: int | None
    moves: list[Move]
    topics: StoredPositions

    @property
    def lost(self) -> list[Move]:
        """Moves over records that nobody can store again."""
        return [move for move in self.moves if move.lost]

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        moves = [
            {"partition": move.name, "before": move.before, "after": move.after, "lost": move.lost}
            for move in self.moves
        ]
        return {
            "table": self.table,
            "head": self.head,
            "target": self.target,
            "snapshots": self.snapshots,
            "rows": self.rows,
            "positions": moves,
        }


def find_target(table: Table, *, snapshot: int | None, tag: str | None, at_ms: int | None) -> Snapshot:
    """The snapshot that is meant.

    Args:
        table: The table.
        snapshot: Its id, or
        tag: the name of a tag on it, or
        at_ms: a time at which it was the head, milliseconds since the epoch; exactly one of the three.

    Raises:
        RejectedError: There is none, or it has expired.
    """
    if tag is not None:
        named = table.metadata.refs.get(tag)
        if named is None:
            raise RejectedError(f"No tag {tag}: there are {', '.join(sorted(table.metadata.refs)) or 'none'}.")
        found = table.snapshot_by_id(named.snapshot_id)
    elif at_ms is not None:
        found = table.snapshot_as_of_timestamp(at_ms)
    else:
        found = table.snapshot_by_id(snapshot) if snapshot is not None else None
    if found is None:
        raise RejectedError("No such snapshot is left: it never was, or has expired.")
    return found


def plan_rollback(table: Table, target: Snapshot) -> Rollback:
    """What going back to a snapshot would do, as far as the table tells.

    Raises:
        RejectedError: The snapshot is the head, or no offset map holds there.
    """
    metadata, head = table.metadata, table.current_snapshot()
    if head is None or head.snapshot_id == target.snapshot_id:
        raise RejectedError(f"Snapshot {target.snapshot_id} is the head already: there is nothing to do.")
    after = positions_at(metadata, target)
    if after is None:
        raise RejectedError(
            f"No offset map holds at snapshot {target.snapshot_id}: a writer would not know from where to go on, and "
            "refuse. Take a snapshot that carries one, or whose parents do."
        )
    before = positions_at(metadata, head) or {}
    kept = {each.snapshot_id for each in ancestry(metadata, target)}
    totals = [_total_rows(snapshot) for snapshot in (head, target)]
    return Rollback(
        table=".".join(table.name()),
        head=head.snapshot_id,
        target=target.snapshot_id,
        snapshots=sum(each.snapshot_id not in kept for each in ancestry(metadata, head)),
        rows=None if None in totals else (totals[0] or 0) - (totals[1] or 0),
        moves=list(_moves(before, after)),
        topics=_united(before, after),
    )


def with_losses(plan: Rollback, log_begins: Mapping[TopicPartition, int]) -> Rollback:
    """Add how many records of each move have left the log; where the log does not say, all of them."""
    moves = [
        replace(move, lost=max(0, min(move.before, log_begins.get(move.partition, move.before)) - move.after))
        for move in plan.moves
    ]
    return replace(plan, moves=moves)


def commit_rollback(table: Table, plan: Rollback) -> None:
    """Make the snapshot the head, provided that the head is still the one the plan was made for.

    Raises:
        RejectedError: Somebody committed in between; nothing was changed.
        UnavailableError: It is not known whether it was done.
    """
    from pyiceberg.exceptions import CommitFailedException  # noqa: PLC0415 - takes a second to import
    from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType  # noqa: PLC0415 - see above
    from pyiceberg.table.update import AssertRefSnapshotId, AssertTableUUID, SetSnapshotRefUpdate  # noqa: PLC0415

    main = table.metadata.refs[MAIN_BRANCH]
    update = SetSnapshotRefUpdate(
        ref_name=MAIN_BRANCH,
        type=SnapshotRefType.BRANCH,
        snapshot_id=plan.target,
        max_ref_age_ms=main.max_ref_age_ms,
        max_snapshot_age_ms=main.max_snapshot_age_ms,
        min_snapshots_to_keep=main.min_snapshots_to_keep,
    )
    requirements = (
        AssertTableUUID(uuid=table.metadata.table_uuid),
        AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=plan.head),
    )
    try:
        table.catalog.commit_table(table, requirements, (update,))
    except CommitFailedException as error:
        raise RejectedError(
            f"{plan.table} has moved on from snapshot {plan.head} meanwhile, and nothing was changed: run it again, and "
            "pause the writers where they are always faster"
        ) from error
    except Exception as error:  # whatever it was, the catalog may have taken the commit
        if _head_id(table) != plan.target:
            raise UnavailableError(
                f"it is not known whether {plan.table} was taken back: look at its head, and run it again where that "
                f"is not snapshot {plan.target} ({error!r})"
            ) from error


def _head_id(table: Table) -> int | None:
    try:
        snapshot = table.refresh().current_snapshot()
    except Exception:  # noqa: BLE001 - each catalog client raises errors of its own
        return None
    return snapshot.snapshot_id if snapshot else None


def _united(before: StoredPositions, after: StoredPositions) -> StoredPositions:
    """Each topic as it would be, with the partitions it has now too."""
    united = dict(before)
    for topic, stored in after.items():
        ends = {**before[topic].ends, **stored.ends} if topic in before else stored.ends
        united[topic] = replace(stored, ends=ends)
    return united


def _moves(before: StoredPositions, after: StoredPositions) -> Iterator[Move]:
    for topic in sorted({*before, *after}):
        old, new = (positions[topic].ends if topic in positions else {} for positions in (before, after))
        for number in sorted({*old, *new}):
            if old.get(number, 0) != new.get(number, 0):
                yield Move(TopicPartition(topic, number), old.get(number, 0), new.get(number, 0))


def _total_rows(snapshot: Snapshot) -> int | None:
    total = snapshot.summary.additional_properties.get("total-records") if snapshot.summary else None
    return None if total is None else int(total)
