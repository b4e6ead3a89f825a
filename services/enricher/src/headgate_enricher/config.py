"""Settings of the enricher; the only reader of its environment."""

from __future__ import annotations

from pathlib import Path

from headgate_runtime.config import ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from headgate_enricher.bedrock.settings import BedrockSettings
from headgate_enricher.budget.settings import BudgetSettings
from headgate_enricher.canary import CanarySettings
from headgate_enricher.gateway.routes import RouteSettings
from headgate_enricher.mcp import McpServer, ServerName
from headgate_enricher.replay.settings import ReplaySettings
from headgate_enricher.roles import DECIDING_GROUP, Role
from headgate_enricher.routing import DEFAULT_AGENTS, AgentTable


class Settings(ServiceSettings):
    """Settings of the enricher, as ``HEADGATE_ENRICHER_<NAME>``.

    Attributes:
        role: ``decide``; or ``shadow`` and ``replay``, which read decided events.
        topic: Topic of the events to decide; its contract names the dead letter topic.
        output_topic: Topic of the decided events.
        divergence_topic: Topic of what a shadow decides beside what holds; its contract names the shadow's dead letters.
        reviews_topic: Topic of the decisions that a person should see.
        progress_topic: Compacted topic of how far partitions are.
        results_topic: Topic of the models' answers, by the position of their event.
        memory_topic: Compacted topic of what the agents remember by key.
        profiles_topic: Compacted topic of what the processor tells of keys, for agents' tools; ``null`` reads none.
        budget_topic: The budgets' ledger, a topic of one partition.
        agents: Event types by the agent that decides on them, as JSON; an agent is an entry point of the group
            ``headgate.agents``, and ``*`` is every type that no agent is named for.
        canary: An agent that decides on a share of another's keys, as JSON: agent, of, percent.
        replay: Where a replay goes, and where it ends.
        group_id: Consumer group; with ``instance`` it makes the transactional id.
        models: The models grey events are decided by: primary, cheaper, fallback.
        bedrock: How to reach the models.
        cached_answers: Answers kept by their exact request.
        budget: What may be spent on models.
        mcp: MCP servers by name, whose tools the agent may call.
        prices_file: Price list to use instead of the shipped one.
        event_deadline_s: How long after triage the model may take before the fallback decides.
        commit_interval_ms: Least time between two commits.
        max_in_flight: Model calls at the same time.
        max_at_model: Grey events at the model or waiting for a free call, at which no more events are triaged.
        max_backlog: Events in memory at which consumption pauses.
        triage_batch: Most events in one triage.
        memory_keys: Most keys whose memory is kept in memory, all agents together; that of others waits on disk.
        profile_keys: Most keys whose profile is held; of more, those go that nothing was told of for longest.
        state_dir: Folder for what waits on disk, rebuilt at each start; None takes the folder for temporary files.
    """

    model_config = SettingsConfigDict(
        env_prefix="HEADGATE_ENRICHER_", env_nested_delimiter="__", env_parse_none_str="null"
    )

    role: Role = "decide"
    topic: str = "raw-events"
    output_topic: str = "enriched-events"
    divergence_topic: str = "decision-divergences"
    reviews_topic: str = "decision-reviews"
    progress_topic: str = "enricher-progress"
    results_topic: str = "model-results"
    memory_topic: str = "enricher-memory"
    profiles_topic: str | None = "account-profiles"
    budget_topic: str = "budget-ledger"
    agents: AgentTable = DEFAULT_AGENTS
    canary: CanarySettings | None = None
    replay: ReplaySettings = ReplaySettings()
    group_id: str = DECIDING_GROUP
    models: RouteSettings = RouteSettings()
    bedrock: BedrockSettings = BedrockSettings()
    cached_answers: int = Field(default=4096, ge=0)
    budget: BudgetSettings = BudgetSettings()
    mcp: dict[ServerName, McpServer] = Field(default_factory=dict)
    prices_file: Path | None = None
    event_deadline_s: float = Field(default=5.0, gt=0)
    commit_interval_ms: int = Field(default=100, ge=1)
    max_in_flight: int = Field(default=256, ge=1)
    max_at_model: int = Field(default=1024, ge=1)
    max_backlog: int = Field(default=20_000, ge=1)
    triage_batch: int = Field(default=500, ge=1)
    memory_keys: int = Field(default=200_000, ge=1)
    profile_keys: int = Field(default=50_000, ge=1)
    state_dir: Path | None = None
