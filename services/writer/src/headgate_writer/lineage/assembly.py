"""Puts the lineage of the writer's commits together from its settings."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from headgate_runtime.lineage import open_emitter

from headgate_writer.lineage.events import CommitLineage
from headgate_writer.lineage.places import kafka_namespace, table_place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.metrics import Metrics
    from headgate_schemas import RecordSchema

    from headgate_writer.config import Settings
    from headgate_writer.landed import Landed, OnLanded
    from headgate_writer.personal import Guard


class WriterLineage:
    """Tells of the commits to every table."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Open the transport.

        Raises:
            ConfigurationError: The settings describe none.
        """
        self._settings = settings
        self._emitter = open_emitter(settings.lineage, settings.kafka, metrics)

    def of(self, table: str, location: str, records: Mapping[str, RecordSchema], guard: Guard) -> OnLanded:
        """What is to be called with each commit to a table.

        Args:
            table: Name with namespace.
            location: Where the table is stored.
            records: Record of the values, by topic.
            guard: What the table holds of personal data.
        """
        settings = self._settings
        commits = CommitLineage(
            settings.lineage.namespace,
            f"{settings.group_id}.{table}",
            kafka_namespace(settings.kafka.bootstrap_servers),
            table_place(table, location, settings.catalog),
            records,
        )

        def tell(landed: Landed) -> None:
            held = guard.protection
            stored = replace(landed, schema=held.schema(landed.schema), hashed=held.hashed)
            self._emitter.emit(partial(commits.events, stored))

        return tell

    def close(self) -> None:
        """Tell what is left, for moments only."""
        self._emitter.close()
