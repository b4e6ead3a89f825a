"""What maintenance counts, by table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_runtime.metrics import Metrics

_RUNS = "Runs of maintenance by kind and outcome."
_SUCCESS = "When a kind of maintenance last succeeded, since the epoch."


class MaintenanceMetrics:
    """Metrics of maintenance; gauges are as of the last survey by this replica, which is not always the one at work.

    Attributes:
        runs: By kind (expire, survey, compact, delete; round for whatever failed) and outcome: done, conflict, unknown
            (no answer), unavailable (nothing was sent), stale (a compaction's sources were gone), failed.
        last_success_s: Seconds since the epoch, by kind.
        compacted_files: Files that others took the place of; ``compacted_bytes`` is their size.
        written_files: Files that took their place.
        deleted_files: By kind: expired, orphan.
        condemned_files: Files that nothing refers to and whose time is not up, or not deleted yet.
        live_files: Data files of the head; ``small_files`` those that are smaller than half of what is wanted.
        manifests: Manifests of the head.
        snapshots: Snapshots kept, those under tags too.
    """

    def __init__(self, metrics: Metrics) -> None:
        prefix, by_table, by_kind = "writer_maintenance_", ("table",), ("table", "kind")
        self.runs = metrics.counter(prefix + "runs", _RUNS, (*by_kind, "outcome"))
        self.last_success_s = metrics.gauge(prefix + "last_success_seconds", _SUCCESS, by_kind)
        self.compacted_files = metrics.counter(prefix + "compacted_files", "Files that were compacted.", by_table)
        self.compacted_bytes = metrics.counter(prefix + "compacted_bytes", "Size of these files.", by_table)
        self.written_files = metrics.counter(prefix + "written_files", "Files they became.", by_table)
        self.deleted_files = metrics.counter(prefix + "deleted_files", "Files deleted from the store.", by_kind)
        self.condemned_files = metrics.gauge(prefix + "condemned_files", "Files that wait to be deleted.", by_table)
        self.live_files = metrics.gauge(prefix + "live_files", "Data files of the head.", by_table)
        self.small_files = metrics.gauge(prefix + "small_files", "Data files of the head that are small.", by_table)
        self.manifests = metrics.gauge(prefix + "manifests", "Manifests of the head.", by_table)
        self.snapshots = metrics.gauge(prefix + "snapshots", "Snapshots kept.", by_table)
