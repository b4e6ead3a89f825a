"""Tables of contracts in a catalog and a warehouse of files, with a registry in memory: all of the writer but Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_runtime.metrics import Metrics
from headgate_runtime.native import installed_decoder
from headgate_runtime.testing import MemoryBroker, MemoryProducer
from headgate_runtime.testing.registry import MemoryRegistry
from headgate_writer.catalog import open_catalog
from headgate_writer.config import Settings
from headgate_writer.metrics import WriterMetrics
from headgate_writer.outbox import Outbox
from headgate_writer.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path

    from headgate_schemas import Contracts


def registered(contracts: Contracts) -> MemoryRegistry:
    registry = MemoryRegistry()
    for topic in contracts.topics.values():
        registry.register(topic.subject, contracts.record(topic.record).text)
    return registry


def tables_in(folder: Path, contracts: Contracts, registry: MemoryRegistry) -> Tables:
    properties = {"name": "t", "type": "sql", "uri": f"sqlite:///{folder}/c.db", "warehouse": f"file://{folder}/w"}
    outbox = Outbox(MemoryProducer(MemoryBroker()))
    settings = Settings(catalog=properties)
    _, make_native = installed_decoder()
    metrics = WriterMetrics(Metrics())
    return Tables(
        settings, contracts, registry, open_catalog(properties), outbox, metrics, make_native, None, lambda *_: None
    )
