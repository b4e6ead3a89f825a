"""Wires the processor."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.deadletters import DeadLetters
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.loop import Loop
from headgate_runtime.metrics import Metrics
from headgate_runtime.native import installed_decoder
from headgate_runtime.outbox import Outbox
from headgate_runtime.records import ENVELOPE_BYTES
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.service import Service
from headgate_runtime.state import StateStore
from headgate_schemas import ContractError, Contracts

from headgate_processor.catalog import SHIPPED, build_catalog, read_definitions
from headgate_processor.idle import Idleness
from headgate_processor.keyed import Plan
from headgate_processor.limits import Limits
from headgate_processor.metrics import ProcessorMetrics
from headgate_processor.output import MetricRecords, PartRecords, Profiles
from headgate_processor.rows import Rows
from headgate_processor.source import EventTime
from headgate_processor.starting import transactional_id
from headgate_processor.state import Layout
from headgate_processor.topics import Topics
from headgate_processor.worker import ProcessorWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from headgate_runtime.kafka.protocols import RecordConsumer, TransactionalProducer
    from headgate_runtime.native import MakeNative
    from headgate_runtime.registry import SchemaRegistry
    from headgate_runtime.state import Codec, ReadRange
    from headgate_schemas import TopicContract

    from headgate_processor.catalog import Catalog
    from headgate_processor.config import Settings

SERVICE = "processor"
READ_TIMEOUT_S = 40.0  # with the committed offsets' 15 s below the time at which the loop counts as stalled
CLOSED_AT_ONCE = 5_000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Clients:
    """What the processor talks to; a test hands in others."""

    consumer: RecordConsumer
    transactions: TransactionalProducer
    registry: SchemaRegistry
    read_range: ReadRange
    make_native: MakeNative | None


@dataclass(frozen=True, slots=True)
class Parts:
    """What the worker is wired of.

    Attributes:
        settings: The settings.
        contracts: All contracts.
        catalog: The definitions.
        topics: Contracts of the topics used.
        clients: Brokers and registry.
        partitions: How many partitions the events have.
    """

    settings: Settings
    contracts: Contracts
    catalog: Catalog
    topics: Topics
    clients: Clients
    partitions: int


def build(settings: Settings) -> Service:
    """Build the service on real clients.

    Raises:
        ConfigurationError: Definitions, contracts, topics or schemas are missing or wrong.
        UnavailableError: Broker or registry does not answer.
    """
    contracts, catalog = load(settings)
    topics = Topics.of(settings, contracts, catalog.source)
    existing = KafkaAdmin(settings.kafka).topics()
    topics.check(existing)
    decoder, make_native = installed_decoder()
    _log.info("decoder chosen", decoder=decoder)
    # The producer comes first: taking over the transactional id settles what the last holder left open.
    clients = Clients(
        transactions=KafkaTransactionalProducer(settings.kafka, transactional_id=transactional_id(settings)),
        consumer=KafkaConsumer(settings.kafka, group_id=settings.group_id, instance_id=settings.instance),
        registry=ConfluentRegistry(settings.registry),
        read_range=partial(read_range, settings.kafka, timeout_s=READ_TIMEOUT_S),
        make_native=make_native,
    )
    metrics = Metrics()
    parts = Parts(settings, contracts, catalog, topics, clients, existing[topics.source.topic].partitions)
    worker = build_worker(parts, metrics)
    loop = Loop(
        clients.consumer,
        worker,
        topics=[topics.source.topic, topics.parts.topic],
        drain_timeout_s=settings.drain_timeout_s,
        metrics=metrics,
        max_records=settings.max_records,
    )
    return Service(
        name=SERVICE,
        loop=loop,
        metrics=metrics,
        ready=worker.why_not_ready,
        info=lambda: {"decoder": decoder, "definitions": {each.name: each.hash for each in catalog.definitions}},
        close=lambda: None,
    )


def load(settings: Settings) -> tuple[Contracts, Catalog]:
    """Read contracts and definitions.

    Raises:
        ConfigurationError: They are missing or wrong.
    """
    try:
        contracts = Contracts.load(settings.contracts_dir)
    except ContractError as error:
        raise ConfigurationError(str(error)) from error
    definitions = read_definitions(settings.definitions_dir or SHIPPED)
    catalog = build_catalog(
        definitions, contracts, profiles_topic=settings.profiles_topic, metrics_topic=settings.metrics_topic
    )
    return contracts, catalog


def build_worker(parts: Parts, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic) -> ProcessorWorker:
    """Wire the worker over any clients; raises as ``build``."""
    settings, topics, clients = parts.settings, parts.topics, parts.clients
    encoder, letters = partial(_encoder, parts), topics.dead_letters
    rows = _rows(parts)
    layout = _layout(parts, rows)
    return ProcessorWorker(
        consumer=clients.consumer,
        source_topic=topics.source.topic,
        rows=rows,
        time=_event_time(settings, topics.source, rows),
        parts_decoder=Decoder(clients.registry, parts.contracts.record(topics.parts.record)),
        layout=layout,
        sources=_states(parts, layout.source_codecs()),
        merges=_states(parts, layout.merge_codecs()),
        parts=PartRecords(topics.parts.topic, encoder(topics.parts), topics.source.topic),
        metric_records=MetricRecords(
            topic=topics.metrics.topic,
            encoder=encoder(topics.metrics),
            alerts_topic=topics.alerts.topic,
            alerts_encoder=encoder(topics.alerts),
            source_topic=topics.source.topic,
        ),
        late_topic=topics.late.topic,
        dead_letters=DeadLetters(
            encoder(letters), letters.topic, SERVICE, max_bytes=letters.max_message_bytes - ENVELOPE_BYTES
        ),
        outbox=Outbox(clients.transactions, clock),
        idleness=Idleness(clients.consumer, settings.idle_after_s or None, clock),
        limits=Limits(settings.commit_interval_ms / 1000, settings.max_outputs, CLOSED_AT_ONCE),
        metrics=ProcessorMetrics(metrics),
        clock=clock,
    )


def _encoder(parts: Parts, topic: TopicContract) -> Encoder:
    return Encoder(parts.clients.registry, topic.subject, parts.contracts.record(topic.record))


def _rows(parts: Parts) -> Rows:
    source, definitions = parts.catalog.source, parts.catalog.definitions
    own = [path for path in (source.fields.event_time, _version(source)) if path is not None]
    return Rows(
        source,
        parts.contracts.record(source.record),
        parts.clients.registry,
        paths=[*own, *(path for definition in definitions for path in definition.field_paths())],
        numbers=[path for definition in definitions for path in definition.number_paths()],
        make_native=parts.clients.make_native,
    )


def _layout(parts: Parts, rows: Rows) -> Layout:
    state = parts.topics.state
    return Layout(
        parts.settings.group_id,
        [Plan(definition, rows.at) for definition in parts.catalog.profiles],
        [Plan(definition, rows.at) for definition in parts.catalog.metrics],
        Profiles(parts.topics.profiles.topic, _encoder(parts, parts.topics.profiles).prefix, _now_ms),
        _encoder(parts, state),
        Decoder(parts.clients.registry, parts.contracts.record(state.record)),
        parts.partitions,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _event_time(settings: Settings, source: TopicContract, rows: Rows) -> EventTime:
    version = _version(source)
    return EventTime(
        at=rows.at[source.fields.event_time or ""],
        version_at=None if version is None else rows.at[version],
        out_of_orderness_ms=round(settings.out_of_orderness_s * 1000),
        ahead_ms=round(settings.max_ahead_s * 1000),
    )


def _version(source: TopicContract) -> str | None:
    """The field that tells an event's first record from later ones."""
    versions = source.table.versions if source.table else None
    return versions.by if versions else None


def _states(parts: Parts, codecs: Mapping[str, Codec[Any]]) -> StateStore[Any]:
    return StateStore(
        topic=parts.topics.state.topic,
        codecs=codecs,
        read=parts.clients.read_range,
        capacity=parts.settings.state_keys,
        folder=parts.settings.state_dir,
    )
