"""The writer's settings; the only place of this service that reads the environment."""

from __future__ import annotations

from pathlib import Path

from headgate_runtime.config import LineageSettings, ServiceSettings, SettingsGroup
from pydantic import Field
from pydantic_settings import SettingsConfigDict


class MaintainSettings(SettingsGroup):
    """How tables are kept fast and small (docs/maintenance.md).

    Attributes:
        enabled: Off where something else maintains the tables; nothing expires then either, and commits grow slower.
        interval_s: Seconds between two rounds of a table that has nothing due.
        least_snapshots: Newest snapshots that stay at any age.
        snapshot_age_s: Age above which a snapshot expires, seconds; ``keep_snapshots`` bounds their number before.
        tag_hours: Hours whose last snapshot stays readable under a tag.
        compact_files: Small files of one magnitude that are compacted while their partition still grows.
        compact_bytes: Arrow bytes of the rows compacted at a time; Parquet is several times smaller, and the memory
            it takes three times larger.
        cold_s: Seconds without a new file after which all small files of a partition are compacted.
        expired_age_s: Seconds a file stays after the last snapshot with it has expired: longer than the longest query.
        orphan_age_s: Age at which a file that nothing refers to is deleted; the same on every writer of a table.
        deletes_per_s: Files deleted a second, at most.
    """

    enabled: bool = True
    interval_s: float = Field(default=60.0, gt=0)
    least_snapshots: int = Field(default=10, ge=1)
    snapshot_age_s: float = Field(default=86_400.0, gt=0)
    tag_hours: int = Field(default=24, ge=0)
    compact_files: int = Field(default=16, ge=2)
    compact_bytes: int = Field(default=256 * 1024 * 1024, gt=0)
    cold_s: float = Field(default=3_600.0, ge=0)
    expired_age_s: float = Field(default=3_600.0, ge=0)
    orphan_age_s: float = Field(default=259_200.0, gt=0)
    deletes_per_s: int = Field(default=50, gt=0)


class Settings(ServiceSettings):
    """Settings of the writer, from ``HEADGATE_WRITER_...``; lists and mappings are JSON.

    Attributes:
        topics: Topics to store, each into the table its contract names; not given: every topic whose contract has one.
        group_id: Consumer group; replicas share it.
        catalog: Catalog properties as pyiceberg takes them, ``name`` among them.
        commit_rows: Records after which a batch is committed.
        commit_bytes: Arrow bytes after which a batch is committed.
        commit_interval_s: Age of its oldest record at which a batch is committed, seconds.
        pii_key_file: File with the key, 32 bytes or more, of the tables whose contract hashes personal data.
        keep_snapshots: Newest snapshots of a table that stay readable, tagged ones apart; older ones expire, so that
            commits stay fast.
        maintain: Expiry, compaction and deletion.
        max_buffered_bytes: Arrow bytes, all topics together, above which consumption pauses.
        max_records: Most records decoded at once.
        unready_after_s: Age of the oldest uncommitted record at which the service is no longer ready, seconds.
        unhealthy_after_s: The same age at which the service asks to be started anew, seconds.
        accepted_incarnations: ``topic/cluster id/topic id`` of re-created topics that may be stored from their start.
        accepted_losses: ``topic/partition/offset`` of positions whose next records left the log before they were stored.
        lineage: Where each commit is told of.
    """

    model_config = SettingsConfigDict(env_prefix="HEADGATE_WRITER_", env_nested_delimiter="__")

    topics: list[str] | None = Field(default=None, min_length=1)
    group_id: str = "writer"
    catalog: dict[str, str]
    commit_rows: int = Field(default=200_000, gt=0)
    commit_bytes: int = Field(default=128 * 1024 * 1024, gt=0)
    commit_interval_s: float = Field(default=1.0, gt=0)
    pii_key_file: Path | None = None
    keep_snapshots: int = Field(default=100, ge=10)
    maintain: MaintainSettings = MaintainSettings()
    max_buffered_bytes: int = Field(default=384 * 1024 * 1024, gt=0)
    max_records: int = Field(default=5_000, gt=0)
    unready_after_s: float = Field(default=30.0, gt=0)
    unhealthy_after_s: float = Field(default=300.0, gt=0)
    accepted_incarnations: frozenset[str] = frozenset()
    accepted_losses: frozenset[str] = frozenset()
    lineage: LineageSettings = LineageSettings()
