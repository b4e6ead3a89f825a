"""Settings of the join of reviews; the only reader of its environment."""

from __future__ import annotations

from pathlib import Path

from headgate_runtime.config import ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict


class Settings(ServiceSettings):
    """Settings of the join of reviews, as ``HEADGATE_REVIEWS_<NAME>``.

    Attributes:
        topic: Topic of what people decided; its contract names the dead letter topic.
        output_topic: Topic of the decided events, which takes the later records.
        revisions_topic: Compacted topic of the last revision by event.
        group_id: Consumer group; with ``instance`` it makes the transactional id.
        commit_interval_ms: Least time between two commits.
        max_backlog: Outcomes in memory at which consumption pauses; each may be as large as the topic takes.
        revision_keys: Most events the last revision of which is kept in memory; that of others waits on disk.
        state_dir: Folder for what waits on disk, rebuilt at each start; None takes the folder for temporary files.
    """

    model_config = SettingsConfigDict(env_prefix="HEADGATE_REVIEWS_", env_nested_delimiter="__")

    topic: str = "review-outcomes"
    output_topic: str = "enriched-events"
    revisions_topic: str = "review-revisions"
    group_id: str = "reviews"
    commit_interval_ms: int = Field(default=100, ge=1)
    max_backlog: int = Field(default=200, ge=1)
    revision_keys: int = Field(default=200_000, ge=1)
    state_dir: Path | None = None
