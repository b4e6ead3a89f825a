"""Settings of the processor; the only reader of its environment."""

from __future__ import annotations

from pathlib import Path

from headgate_runtime.config import ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict


class Settings(ServiceSettings):
    """Settings of the processor, as ``HEADGATE_PROCESSOR_<NAME>``.

    Attributes:
        definitions_dir: Folder with the definitions; None takes those that come with the service.
        profiles_topic: Compacted topic of windows by the events' own key; its contract names the dead letter topic.
        metrics_topic: Topic of windows by other keys.
        parts_topic: Topic of their parts.
        alerts_topic: Topic of windows that broke a rule.
        late_topic: Topic of events that came behind a window they belong in.
        state_topic: Compacted topic of what is held of open windows.
        group_id: Consumer group; with ``instance`` it makes the transactional id.
        out_of_orderness_s: How far events come behind each other; what comes later still has a definition's grace.
        max_ahead_s: How far ahead of its record an event may be dated and still move the watermark.
        idle_after_s: Seconds without a record after which a partition's watermark moves with the wall clock; 0: never.
        commit_interval_ms: Least time between two commits.
        max_outputs: Records waiting for a commit at which it comes at once.
        max_records: Most records of one poll.
        state_keys: Most keys whose state is kept in memory; that of others waits on disk.
        state_dir: Folder for what waits on disk, rebuilt at each start; None takes the folder for temporary files.
    """

    model_config = SettingsConfigDict(env_prefix="HEADGATE_PROCESSOR_", env_nested_delimiter="__")

    definitions_dir: Path | None = None
    profiles_topic: str = "account-profiles"
    metrics_topic: str = "decision-metrics"
    parts_topic: str = "decision-metric-parts"
    alerts_topic: str = "decision-alerts"
    late_topic: str = "enriched-events.late"
    state_topic: str = "processor-state"
    group_id: str = "processor"
    out_of_orderness_s: float = Field(default=10.0, ge=0)
    max_ahead_s: float = Field(default=300.0, ge=0)
    idle_after_s: float = Field(default=60.0, ge=0)
    commit_interval_ms: int = Field(default=1000, ge=1)
    max_outputs: int = Field(default=20_000, ge=1)
    max_records: int = Field(default=4_000, ge=1)
    state_keys: int = Field(default=200_000, ge=1)
    state_dir: Path | None = None
