"""A table as the writer leaves one, in a catalog of its own, for tests of the commands about tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pyiceberg.table import Table

NAME = "lakehouse.enriched_events"
TOPIC = "enriched-events"
SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("agent_metadata", pa.struct([pa.field("revision", pa.int32(), nullable=False)]), nullable=False),
        pa.field("_topic", pa.string(), nullable=False),
        pa.field("_kafka_partition", pa.int32(), nullable=False),
        pa.field("_offset", pa.int64(), nullable=False),
    ],
)


def positions(ends: Mapping[int, int], *, topic: str = TOPIC, topic_id: str = "id") -> str:
    return json.dumps({topic: {"cluster": "cluster", "id": topic_id, "next": {str(p): e for p, e in ends.items()}}})


class Lake:
    """The catalog and the table."""

    def __init__(self, folder: Path) -> None:
        (folder / "warehouse").mkdir()
        self.folder = folder
        self.properties = {
            "name": "local",
            "type": "sql",
            "uri": f"sqlite:///{folder}/catalog.db",
            "warehouse": f"file://{folder}/warehouse",
        }
        self._catalog = SqlCatalog(**self.properties)
        self._catalog.create_namespace("lakehouse")
        self._catalog.create_table(NAME, SCHEMA)

    @property
    def table(self) -> Table:
        return self._catalog.load_table(NAME)

    def append(
        self,
        offsets: Sequence[tuple[int, int]],
        ends: Mapping[int, int] | None,
        *,
        ids: Sequence[tuple[str, int]] | None = None,
        **labels: str,
    ) -> int:
        """Commit rows of (partition, offset), with the offset map where one is given; returns the snapshot's id."""
        named = ids or [(f"{partition}-{offset}-{len(self.table.history())}", 0) for partition, offset in offsets]
        rows: list[dict[str, Any]] = [
            {
                "event_id": event_id,
                "agent_metadata": {"revision": revision},
                "_topic": TOPIC,
                "_kafka_partition": partition,
                "_offset": offset,
            }
            for (partition, offset), (event_id, revision) in zip(offsets, named, strict=True)
        ]
        carried = {} if ends is None else {"headgate.positions": positions(ends, **labels)}
        self.table.append(pa.Table.from_pylist(rows, SCHEMA), snapshot_properties=carried)
        snapshot = self.table.current_snapshot()
        assert snapshot is not None
        return snapshot.snapshot_id

    def close(self) -> None:
        self._catalog.close()
