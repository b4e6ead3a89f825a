"""Composition root: builds the writer from its settings and wires it, nothing else."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.loop import Loop
from headgate_runtime.metrics import Metrics
from headgate_runtime.native import installed_decoder
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.service import Service
from headgate_schemas import ContractError, Contracts

from headgate_writer.catalog import open_catalog
from headgate_writer.control import writer_router
from headgate_writer.errors import Acceptance
from headgate_writer.maintenance.composition import upkeep_of
from headgate_writer.metrics import WriterMetrics
from headgate_writer.outbox import Outbox
from headgate_writer.parking import Parking
from headgate_writer.personal import read_key
from headgate_writer.positions import Incarnation
from headgate_writer.routes import Routes
from headgate_writer.tables import Tables, clock_ms
from headgate_writer.worker import WriterWorker

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pyiceberg.catalog import Catalog

    from headgate_writer.config import Settings
    from headgate_writer.lineage.assembly import WriterLineage
    from headgate_writer.sink import Sink

_log = structlog.get_logger()


def build(settings: Settings) -> Service:
    """Build the writer.

    Raises:
        ConfigurationError: A topic's contract names no table or no dead letters, does not fit its table, or hashes
            personal data and there is no key.
        UnavailableError: Brokers, registry or catalog do not answer.
    """
    metrics = Metrics()
    pii_key = read_key(settings.pii_key_file) if settings.pii_key_file else None
    consumer = KafkaConsumer(settings.kafka, group_id=settings.group_id, instance_id=settings.instance)
    catalog = open_catalog(settings.catalog)
    outbox = Outbox(KafkaProducer(settings.kafka))
    contracts = load_contracts(settings)
    parking = Parking(accepted(settings), time.monotonic)
    lineage = _lineage(settings, metrics)
    decoder, make_native = installed_decoder()
    _log.info("decoder chosen", decoder=decoder)
    upkeep, keep = upkeep_of(settings.maintain, metrics, clock_ms)
    tables = Tables(
        settings,
        contracts,
        ConfluentRegistry(settings.registry),
        catalog,
        outbox,
        WriterMetrics(metrics),
        make_native,
        lineage,
        keep,
        parking.accepted,
        pii_key,
    )
    routes = _routes(settings, contracts, tables)
    worker = WriterWorker(
        routes,
        consumer,
        outbox,
        parking,
        upkeep=upkeep,
        max_buffered_bytes=settings.max_buffered_bytes,
        rng=random.SystemRandom(),
    )
    return Service(
        name="writer",
        loop=_loop(settings, consumer, worker, routes.topics, metrics),
        metrics=metrics,
        ready=lambda: why_parked(routes.tables) or why_stalled(routes.tables, settings.unready_after_s),
        healthy=lambda: why_stalled(routes.tables, settings.unhealthy_after_s),
        info=lambda: {"decoder": decoder, **_info(routes), "maintenance": upkeep.info()},
        close=partial(_close, catalog, lineage),
        routers=[writer_router(worker.request_commit, worker.accept, upkeep.request)],
    )


def _routes(settings: Settings, contracts: Contracts, tables: Tables) -> Routes:
    topics = settings.topics or list(contracts.stored)
    identify = partial(incarnations, KafkaAdmin(settings.kafka), topics)
    return Routes(topics, identify=identify, open_topic=tables.open, clock=time.monotonic)


def _loop(
    settings: Settings, consumer: KafkaConsumer, worker: WriterWorker, topics: Sequence[str], metrics: Metrics
) -> Loop:
    return Loop(
        consumer,
        worker,
        topics=topics,
        drain_timeout_s=settings.drain_timeout_s,
        metrics=metrics,
        max_records=settings.max_records,
    )


def _info(routes: Routes) -> dict[str, object]:
    return {"tables": [sink.info() for sink in routes.tables], "missing_topics": routes.missing}


def _lineage(settings: Settings, metrics: Metrics) -> WriterLineage | None:
    if not settings.lineage.transport:
        return None
    from headgate_writer.lineage.assembly import WriterLineage  # noqa: PLC0415 - OpenLineage is for those who want it

    return WriterLineage(settings, metrics)


def _close(catalog: Catalog, lineage: WriterLineage | None) -> None:
    with ExitStack() as closing:
        closing.callback(catalog.close)
        if lineage is not None:
            closing.callback(lineage.close)


def incarnations(admin: KafkaAdmin, topics: Collection[str]) -> dict[str, Incarnation]:
    """Ask the brokers which incarnation they have of each topic that exists."""
    cluster_id = admin.cluster_id()
    return {topic: Incarnation(topic, cluster_id, topic_id) for topic, topic_id in admin.topic_ids(topics).items()}


def why_stalled(sinks: Iterable[Sink], limit_s: float) -> str | None:
    """Say which table has not taken a record for too long, and why; None where none, or a person is waited for."""
    for sink in sinks:
        if sink.parked is None and sink.stalled_s > limit_s:
            why = sink.parts.committer.failure or "what was asked of the catalog or a store is not answered yet"
            return f"{sink.parts.table}: nothing committed for {sink.stalled_s:.0f} s: {why}"
    return None


def why_parked(sinks: Iterable[Sink]) -> str | None:
    """Say which table waits for a person, and why; None where none."""
    reasons = (f"{sink.parts.table} is parked: {sink.parked}" for sink in sinks if sink.parked is not None)
    return next(reasons, None)


def accepted(settings: Settings) -> set[Acceptance]:
    """Return what the settings let pass."""
    return {Acceptance("incarnation", life) for life in settings.accepted_incarnations} | {
        Acceptance("loss", position) for position in settings.accepted_losses
    }


def load_contracts(settings: Settings) -> Contracts:
    """Load the contracts.

    Raises:
        ConfigurationError: They are wrong.
    """
    try:
        return Contracts.load(settings.contracts_dir)
    except ContractError as error:
        raise ConfigurationError(str(error)) from error
