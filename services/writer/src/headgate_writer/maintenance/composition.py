"""Builds the maintenance of a writer's tables from its settings."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from headgate_writer.maintenance.background import Background
from headgate_writer.maintenance.maintainer import DeletionPolicy, Maintainer
from headgate_writer.maintenance.metrics import MaintenanceMetrics
from headgate_writer.maintenance.packing import CompactionPolicy
from headgate_writer.maintenance.retention import Retention
from headgate_writer.maintenance.upkeep import Upkeep

if TYPE_CHECKING:
    from headgate_runtime.metrics import Metrics

    from headgate_writer.config import MaintainSettings, Settings
    from headgate_writer.iceberg import IcebergTable

# Takes a table into maintenance, with the path of its event time.
Keep = Callable[["IcebergTable", tuple[str, ...] | None], None]


def retention_of(settings: Settings) -> Retention | None:
    """Return which snapshots stay; None where maintenance is somebody else's."""
    kept = settings.maintain
    if not kept.enabled:
        return None
    return Retention(settings.keep_snapshots, kept.least_snapshots, kept.snapshot_age_s, kept.tag_hours)


def upkeep_of(settings: MaintainSettings, metrics: Metrics, clock_ms: Callable[[], int]) -> tuple[Upkeep, Keep]:
    """Build the upkeep, and what is to be called with each table that is opened.

    Args:
        settings: Settings of maintenance.
        metrics: Metrics of the service.
        clock_ms: Milliseconds since the epoch.
    """
    shown, rng = MaintenanceMetrics(metrics), random.SystemRandom()
    compaction = CompactionPolicy(settings.compact_files, settings.compact_bytes, settings.cold_s)
    deletion = DeletionPolicy(settings.expired_age_s, settings.orphan_age_s, settings.deletes_per_s)
    upkeep = Upkeep(Background(), shown, interval_s=settings.interval_s, clock=time.monotonic, rng=rng)

    def keep(table: IcebergTable, event_time: tuple[str, ...] | None) -> None:
        if settings.enabled:
            maintainer = Maintainer(
                table,
                shown,
                compaction=compaction,
                deletion=deletion,
                event_time=event_time,
                clock=time.monotonic,
                clock_ms=clock_ms,
                rng=rng,
            )
            upkeep.keep(table.name, maintainer)

    return upkeep, keep
