"""Which snapshots stay readable: the newest ones, and the last one of each hour under a tag."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.update import RemoveSnapshotRefUpdate, RemoveSnapshotsUpdate, SetSnapshotRefUpdate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update import TableUpdate

_HOUR_MS: Final = 3_600_000
_TAG: Final = re.compile(r"hour-(\d{4}-\d\d-\d\dT\d\d)Z")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long snapshots stay; its updates ride on commits that are made anyway.

    The metadata, and with it the time of a commit, grows with every snapshot that is kept: so their number is bounded
    whatever their age, and what is to be read for longer than that is read by the hour.

    Attributes:
        most: Newest snapshots that stay, if they are young enough; those that tags and branches name come on top.
        least: Newest snapshots that stay at any age.
        age_s: Age above which a snapshot goes, seconds.
        tag_hours: Hours whose last snapshot stays under a tag ``hour-2026-11-25T13Z``; 0 makes none.
    """

    most: int = 100
    least: int = 10
    age_s: float = 86_400.0
    tag_hours: int = 24

    def updates(self, metadata: TableMetadata, now_ms: int) -> tuple[TableUpdate, ...]:
        """Plan what a commit on top of this metadata is to do to older snapshots; empty where nothing is due.

        Args:
            metadata: The table as it stands.
            now_ms: Milliseconds since the epoch.
        """
        tags = tuple(self._tags(metadata, now_ms))
        dropped = {name for name in metadata.refs if self._outlived(name, now_ms)}
        named = {ref.snapshot_id for name, ref in metadata.refs.items() if name not in dropped}
        named |= {tag.snapshot_id for tag in tags}
        expired = [each for each in self._due(metadata, now_ms) if each not in named]
        drops = tuple(RemoveSnapshotRefUpdate(ref_name=name) for name in sorted(dropped))
        return (*tags, *drops, *([RemoveSnapshotsUpdate(snapshot_ids=expired)] if expired else []))

    def _tags(self, metadata: TableMetadata, now_ms: int) -> Iterable[SetSnapshotRefUpdate]:
        """Name the head as its hour's last snapshot, once that hour is over."""
        head = metadata.current_snapshot()
        if head is None or head.timestamp_ms // _HOUR_MS >= now_ms // _HOUR_MS:
            return
        name = hour_tag(head.timestamp_ms)
        if name not in metadata.refs and not self._outlived(name, now_ms):
            yield SetSnapshotRefUpdate(
                ref_name=name,
                type=SnapshotRefType.TAG,
                snapshot_id=head.snapshot_id,
                max_ref_age_ms=self.tag_hours * _HOUR_MS,
                max_snapshot_age_ms=None,
                min_snapshots_to_keep=None,
            )

    def _outlived(self, name: str, now_ms: int) -> bool:
        match = _TAG.fullmatch(name)
        if match is None:
            return False
        hour = datetime.strptime(match[1], "%Y-%m-%dT%H").replace(tzinfo=UTC)
        return now_ms // _HOUR_MS - int(hour.timestamp() * 1000) // _HOUR_MS > self.tag_hours

    def _due(self, metadata: TableMetadata, now_ms: int) -> list[int]:
        """Return the oldest snapshots beyond those to keep, a quarter of that number at a time, and those too old."""
        snapshots = sorted(metadata.snapshots, key=lambda each: each.sequence_number or 0)
        beyond = len(snapshots) - self.most if len(snapshots) >= self.most * 1.25 else 0
        old = now_ms - self.age_s * 1000
        return [
            each.snapshot_id
            for place, each in enumerate(snapshots[: -self.least])
            if place < beyond or each.timestamp_ms < old
        ]


def hour_tag(timestamp_ms: int) -> str:
    """Return the tag of the UTC hour that holds an instant in milliseconds since the epoch."""
    return f"{datetime.fromtimestamp(timestamp_ms / 1000, UTC):hour-%Y-%m-%dT%H}Z"
