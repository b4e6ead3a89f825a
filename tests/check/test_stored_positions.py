"""The command line reads the offset map that the writer keeps in a table's snapshots."""

from __future__ import annotations

from headgate_admin.tables import positions as reader
from headgate_writer import positions as writer
from pyiceberg.table.snapshots import Operation, Snapshot, Summary

MAP = writer.Positions(
    {
        writer.Incarnation("enriched-events", "cluster", "id"): {0: 17, 3: 4},
        writer.Incarnation("decision-metrics", "cluster", "other"): {0: 1},
    }
)


def test_what_the_writer_stores_is_what_the_command_line_reads() -> None:
    summary = Summary(Operation.APPEND, **{writer.PROPERTY: MAP.dump()})
    snapshot = Snapshot(snapshot_id=1, sequence_number=1, timestamp_ms=0, manifest_list="", summary=summary)
    assert reader.PROPERTY == writer.PROPERTY
    assert reader.positions_in(snapshot) == {
        life.topic: reader.TopicPositions(life.cluster_id, life.topic_id, ends) for life, ends in MAP.topics.items()
    }
