"""The offset map that the writer keeps in a table's snapshots, as a reader of it sees it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headgate_runtime.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

PROPERTY = "headgate.positions"


@dataclass(frozen=True, slots=True)
class TopicPositions:
    """How far a topic is stored.

    Attributes:
        cluster_id: Id of the Kafka cluster.
        topic_id: Id Kafka gave the topic when it was created.
        ends: Next offset to store, by partition.
    """

    cluster_id: str
    topic_id: str
    ends: Mapping[int, int]


StoredPositions = dict[str, TopicPositions]


def ancestry(metadata: TableMetadata, snapshot: Snapshot | None) -> Iterator[Snapshot]:
    """A snapshot, its parent, and so on until one has expired."""
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = metadata.snapshot_by_id(parent) if parent is not None else None


def positions_in(snapshot: Snapshot) -> StoredPositions | None:
    """The map that a snapshot carries, by topic; None where it carries none.

    Raises:
        RejectedError: What it carries is no such map.
    """
    text = snapshot.summary.additional_properties.get(PROPERTY) if snapshot.summary else None
    if not text:
        return None
    try:
        document: dict[str, Any] = json.loads(text)
        return {
            topic: TopicPositions(
                entry["cluster"], entry["id"], {int(number): int(end) for number, end in entry["next"].items()}
            )
            for topic, entry in document.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RejectedError(f"snapshot {snapshot.snapshot_id}: {PROPERTY} is no offset map ({error!r})") from error


def positions_at(metadata: TableMetadata, snapshot: Snapshot | None) -> StoredPositions | None:
    """The map that holds at a snapshot: its own, or the nearest ancestor's that carries one.

    Returns:
        None where no ancestor that is still there carries one; an empty map without a snapshot.

    Raises:
        RejectedError: What is carried is no such map.
    """
    if snapshot is None:
        return {}
    return next((found for each in ancestry(metadata, snapshot) if (found := positions_in(each)) is not None), None)
