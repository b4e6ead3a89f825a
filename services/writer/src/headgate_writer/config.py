"""The writer's settings; the only place of this service that reads the environment."""

from __future__ import annotations

from pathlib import Path

from headgate_runtime.config import LineageSettings, ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict


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
        keep_snapshots: Table snapshots that stay readable; older ones expire, so that commits stay fast.
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
    keep_snapshots: int = Field(default=200, ge=10)
    max_buffered_bytes: int = Field(default=384 * 1024 * 1024, gt=0)
    max_records: int = Field(default=5_000, gt=0)
    unready_after_s: float = Field(default=30.0, gt=0)
    unhealthy_after_s: float = Field(default=300.0, gt=0)
    accepted_incarnations: frozenset[str] = frozenset()
    accepted_losses: frozenset[str] = frozenset()
    lineage: LineageSettings = LineageSettings()
