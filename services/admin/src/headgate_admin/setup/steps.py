"""The steps of the setup: each says what it did, and does nothing where nothing is missing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from headgate_runtime.errors import ConfigurationError, RejectedError

from headgate_admin.plugins import installed
from headgate_admin.schemas.plan import apply_subjects, plan_subjects, read_subjects
from headgate_admin.topics.losses import Losses
from headgate_admin.topics.plan import Refusal, apply_topics, plan_topics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headgate_runtime.kafka.admin import KafkaAdmin
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import Contracts

    from headgate_admin.config import AdminSettings
    from headgate_admin.schemas.plan import SubjectChange
    from headgate_admin.topics.plan import TopicChange

    CreateTables = Callable[[Contracts, Mapping[str, str]], Sequence[str]]

TABLES_GROUP: Final = "headgate.tables"


def set_topics(contracts: Contracts, cluster: KafkaAdmin, settings: AdminSettings) -> Sequence[TopicChange]:
    """Bring the cluster's topics to their contracts; returns what was changed.

    Raises:
        RejectedError: A topic cannot be brought there without losing records; nothing was changed.
        UnavailableError: The brokers do not answer.
    """
    desired = tuple(contracts.topics.values())
    losses = Losses(cluster, time.time_ns() // 1_000_000).of
    changes = plan_topics(desired, cluster.topics(), min_insync=settings.min_insync_replicas, losses=losses)
    refused = [change for change in changes if isinstance(change, Refusal)]
    if refused:
        raise RejectedError("; ".join(f"{change.topic} {change.describe()}" for change in refused))
    if changes:
        apply_topics(desired, changes, cluster, settings.replication_factor, settings.min_insync_replicas)
    return changes


def set_subjects(contracts: Contracts, registry: SchemaRegistry) -> Sequence[SubjectChange]:
    """Bring the registry's subjects to the contracts' records; returns what was changed.

    Raises:
        RejectedError: The registry refuses a schema.
        UnavailableError: The registry does not answer.
    """
    changes = plan_subjects(contracts, read_subjects(contracts, registry))
    apply_subjects(changes, registry)
    return changes


def table_maker() -> CreateTables:
    """What makes the tables: the writer's package offers it, for it knows what they look like.

    Raises:
        ConfigurationError: No installed package offers one, or several do.
    """
    offers = installed(TABLES_GROUP)
    if len(offers) != 1:
        raise ConfigurationError(
            f"{len(offers)} installed packages make tables and there has to be one: install headgate-writer beside this"
        )
    maker: CreateTables = offers[0].load()
    return maker
