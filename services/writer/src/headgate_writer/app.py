"""Composition root: builds the writer from its settings and wires it, nothing else."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.deadletters import DeadLetters
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.loop import Loop
from headgate_runtime.metrics import Metrics
from headgate_runtime.records import ENVELOPE_BYTES
from headgate_runtime.registry import ConfluentRegistry, SchemaRegistry
from headgate_runtime.service import Service
from headgate_schemas import ContractError, Contracts, TopicContract, compile_rules
from opentelemetry.trace import get_tracer

from headgate_writer.catalog import open_catalog
from headgate_writer.commit import Committer
from headgate_writer.control import writer_router
from headgate_writer.decode import BatchDecoder
from headgate_writer.maintenance.composition import retention_of, upkeep_of
from headgate_writer.metrics import WriterMetrics
from headgate_writer.opening import open_table
from headgate_writer.outbox import Outbox
from headgate_writer.policy import CommitPolicy
from headgate_writer.positions import Incarnation
from headgate_writer.schema import decoded_schema
from headgate_writer.sink import Sink, SinkParts
from headgate_writer.tracing import TracedSink
from headgate_writer.worker import WriterWorker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog

    from headgate_writer.config import Settings
    from headgate_writer.iceberg import IcebergTable


def build(settings: Settings) -> Service:
    """Build the writer.

    Raises:
        ConfigurationError: A topic's contract names no table or no dead letters, or does not fit its table.
        UnavailableError: Brokers, registry or catalog do not answer.
    """
    metrics = Metrics()
    registry = ConfluentRegistry(settings.registry)
    consumer = KafkaConsumer(settings.kafka, group_id=settings.group_id, instance_id=settings.instance)
    catalog = open_catalog(settings.catalog)
    outbox = Outbox(KafkaProducer(settings.kafka))
    identify = partial(incarnations, KafkaAdmin(settings.kafka), settings.topics)
    parts = _Parts(settings, load_contracts(settings), registry, catalog, outbox)
    shown = WriterMetrics(metrics)
    sinks = {topic: _sink(settings, parts.of(life), shown) for topic, life in identify().items()}
    upkeep = upkeep_of(settings.maintain, parts.tables, metrics, clock_ms)
    worker = WriterWorker(
        sinks,
        consumer,
        outbox,
        upkeep=upkeep,
        identify=identify,
        max_buffered_bytes=settings.max_buffered_bytes,
        accepted_losses=settings.accepted_losses,
        rng=random.SystemRandom(),
    )
    loop = Loop(
        consumer,
        worker,
        topics=settings.topics,
        drain_timeout_s=settings.drain_timeout_s,
        metrics=metrics,
        max_records=settings.max_records,
    )
    return Service(
        name="writer",
        loop=loop,
        metrics=metrics,
        ready=partial(why_stalled, sinks, settings.unready_after_s),
        healthy=partial(why_stalled, sinks, settings.unhealthy_after_s),
        info=lambda: {"tables": [sink.info() for sink in sinks.values()], "maintenance": upkeep.info()},
        close=catalog.close,
        routers=[writer_router(worker.request_commit, upkeep.request)],
    )


def _sink(settings: Settings, parts: SinkParts, metrics: WriterMetrics) -> Sink:
    if settings.tracing.endpoint is None:
        return Sink(parts, metrics)
    return TracedSink(parts, metrics, tracer=get_tracer("headgate_writer"), group=settings.group_id)


def incarnations(admin: KafkaAdmin, topics: list[str]) -> dict[str, Incarnation]:
    """Ask the brokers which incarnation of each topic they have."""
    cluster_id, topic_ids = admin.cluster_id(), admin.topic_ids(topics)
    return {topic: Incarnation(topic, cluster_id, topic_ids[topic]) for topic in topics}


def why_stalled(sinks: Mapping[str, Sink], limit_s: float) -> str | None:
    """Say which table has not taken a record for too long, and why; None where none."""
    for sink in sinks.values():
        if sink.stalled_s > limit_s:
            return f"{sink.parts.table}: nothing committed for {sink.stalled_s:.0f} s: {sink.parts.committer.failure}"
    return None


def load_contracts(settings: Settings) -> Contracts:
    """Load the contracts.

    Raises:
        ConfigurationError: They are wrong.
    """
    try:
        return Contracts.load(settings.contracts_dir)
    except ContractError as error:
        raise ConfigurationError(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Parts:
    """Makes the parts of each topic's sink; tables are created and widened here, before their first row.

    Attributes:
        tables: What was opened so far, by name, with the path of its event time.
    """

    settings: Settings
    contracts: Contracts
    registry: SchemaRegistry
    catalog: Catalog
    outbox: Outbox
    tables: dict[str, tuple[IcebergTable, tuple[str, ...] | None]] = field(default_factory=dict)

    def of(self, life: Incarnation) -> SinkParts:
        try:
            contract = self.contracts.topic(life.topic)
            if contract.table is None or contract.dead_letters is None:
                raise ConfigurationError(f"{life.topic}: the contract names no table or no dead_letters; add both")
            letters = self._letters(self.contracts.topic(contract.dead_letters))
            decoder = self._decoder(contract)
        except ContractError as error:
            raise ConfigurationError(str(error)) from error
        settings = self.settings
        event_time = tuple(contract.fields.event_time.split(".")) if contract.fields.event_time else None
        table = open_table(self.catalog, contract.table, decoder.schema, retention=retention_of(settings))
        self.tables[contract.table.name] = table, event_time
        return SinkParts(
            topic=life.topic,
            table=contract.table.name,
            decoder=decoder,
            letters=letters,
            outbox=self.outbox,
            committer=Committer(
                table,
                life,
                clock=time.monotonic,
                rng=random.SystemRandom(),
                accepted=str(life) in settings.accepted_incarnations,
                files_hold_s=settings.maintain.orphan_age_s / 2,
            ),
            policy=CommitPolicy(settings.commit_rows, settings.commit_bytes, settings.commit_interval_s),
            event_time=event_time,
        )

    def _decoder(self, contract: TopicContract) -> BatchDecoder:
        record = self.contracts.record(contract.record)
        return BatchDecoder(Decoder(self.registry, record), compile_rules(contract), decoded_schema(record), clock_ms)

    def _letters(self, dead: TopicContract) -> DeadLetters:
        encoder = Encoder(self.registry, dead.subject, self.contracts.record(dead.record))
        return DeadLetters(encoder, dead.topic, "writer", max_bytes=dead.max_message_bytes - ENVELOPE_BYTES)


def clock_ms() -> int:
    """Return milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
