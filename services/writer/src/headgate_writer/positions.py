"""How far each partition is stored, kept in the table's own snapshots so that rows and positions land together."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from headgate_writer.errors import Acceptance, UnsafeToWriteError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROPERTY = "headgate.positions"


class Incarnation(NamedTuple):
    """One life of a topic: the same name on another cluster, or created again, numbers other records.

    Attributes:
        topic: Name.
        cluster_id: Id of the Kafka cluster.
        topic_id: Id Kafka gave the topic when it was created; empty where brokers tell none.
    """

    topic: str
    cluster_id: str
    topic_id: str

    def __str__(self) -> str:
        """Return the form an operator accepts an incarnation by."""
        return f"{self.topic}/{self.cluster_id}/{self.topic_id}"


@dataclass(frozen=True, slots=True)
class Positions:
    """The offset map of a table: for each topic its incarnation, for each partition the next offset to store.

    An offset is the last stored one + 1, never a count: transactional topics have gaps. A partition that is
    not in the map has nothing stored.
    """

    topics: Mapping[Incarnation, Mapping[int, int]] = field(default_factory=dict)

    def of(self, incarnation: Incarnation, *, accepted: bool = False) -> Mapping[int, int]:
        """Return the next offset of each stored partition of a topic.

        Args:
            incarnation: The topic as the brokers know it now.
            accepted: The operator has said that this incarnation may start over.

        Raises:
            UnsafeToWriteError: The map belongs to another incarnation of the topic.
        """
        earlier = next((known for known in self.topics if known.topic == incarnation.topic), None)
        if earlier is None or earlier == incarnation:
            return self.topics.get(incarnation, {})
        if accepted:
            return {}
        accept = Acceptance("incarnation", str(incarnation))
        raise UnsafeToWriteError(
            f"the table holds rows of {earlier}, and the brokers now offer {incarnation}: topic {incarnation.topic} "
            "was created again or lives on another cluster, so stored offsets mean nothing there. Point the writer "
            "at the earlier topic; or, to store the new one from its start beside the rows that are there, accept it: "
            f"{accept}, or start the writer with '{incarnation}' in its list accepted_incarnations",
            accept,
        )

    def advanced(self, incarnation: Incarnation, ends: Mapping[int, int]) -> Positions:
        """Return this map with some partitions of a topic moved on; every other entry stays as it is.

        Args:
            incarnation: The topic; it replaces an earlier incarnation of the same name.
            ends: Next offset by partition.

        Raises:
            ValueError: A partition would move back.
        """
        mine = dict(self.topics.get(incarnation, {}))
        for partition, end in ends.items():
            if end < mine.get(partition, 0):
                raise ValueError(f"{incarnation.topic}/{partition} would move back from {mine[partition]} to {end}")
            mine[partition] = end
        others = {known: offsets for known, offsets in self.topics.items() if known.topic != incarnation.topic}
        return Positions({**others, incarnation: mine})

    def dump(self) -> str:
        """Return the map as compact JSON: topic -> cluster, id, next {partition: offset}."""
        document = {
            life.topic: {"cluster": life.cluster_id, "id": life.topic_id, "next": {str(p): o for p, o in own.items()}}
            for life, own in sorted(self.topics.items())
        }
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Positions:
        """Read what :meth:`dump` wrote.

        Raises:
            UnsafeToWriteError: The text is no offset map.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            return cls(
                {
                    Incarnation(topic, entry["cluster"], entry["id"]): {
                        int(p): int(o) for p, o in entry["next"].items()
                    }
                    for topic, entry in document.items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnsafeToWriteError(
                f"snapshot property {PROPERTY} is not an offset map ({error!r}): something other than this writer "
                "changed it. Roll the table back to a snapshot with a valid map",
            ) from error


def positions_of(summaries: Iterator[Mapping[str, str]]) -> Positions | None:
    """Find the offset map that holds at a table's head.

    Deletes, overwrites and foreign maintenance commit snapshots without the map; they change no position, so the
    nearest ancestor that carries one counts.

    Args:
        summaries: Summary properties of the head snapshot, its parent, and so on.

    Returns:
        An empty map for a table without snapshots; None where no ancestor that is still there carries one.
    """
    empty = True
    for summary in summaries:
        if text := summary.get(PROPERTY):
            return Positions.parse(text)
        empty = False
    return Positions() if empty else None
