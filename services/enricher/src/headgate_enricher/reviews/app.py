"""Wires the join of reviews."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.deadletters import DeadLetters
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.loop import Loop
from headgate_runtime.metrics import Metrics
from headgate_runtime.outbox import Outbox
from headgate_runtime.records import ENVELOPE_BYTES
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.service import Service
from headgate_runtime.state import StateStore
from headgate_schemas import ContractError, Contracts, compile_rules, field_getter

from headgate_enricher.intake import Intake
from headgate_enricher.reviews.metrics import ReviewsMetrics
from headgate_enricher.reviews.revision import Reviser, Target
from headgate_enricher.reviews.state import RevisionCodec
from headgate_enricher.reviews.worker import ReviewsWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headgate_runtime.kafka.admin import TopicInfo
    from headgate_runtime.kafka.protocols import RecordConsumer, TransactionalProducer
    from headgate_runtime.registry import SchemaRegistry
    from headgate_runtime.state import ReadRange
    from headgate_schemas import TopicContract

    from headgate_enricher.reviews.config import Settings
    from headgate_enricher.reviews.revision import Revision

SERVICE = "reviews"
READ_TIMEOUT_S = 20.0  # with the committed offsets' 15 s well below the time at which the loop counts as stalled
MAX_RECORDS = 100  # an outcome may be large, and people make few


@dataclass(frozen=True, slots=True)
class Clients:
    """What the join talks to; a test hands in others."""

    consumer: RecordConsumer
    transactions: TransactionalProducer
    registry: SchemaRegistry
    read_range: ReadRange


@dataclass(frozen=True, slots=True)
class Topics:
    """Contracts of the topics the join uses."""

    source: TopicContract
    output: TopicContract
    revisions: TopicContract
    dead_letters: TopicContract

    @classmethod
    def of(cls, settings: Settings, contracts: Contracts) -> Topics:
        """Look the contracts up.

        Raises:
            ConfigurationError: One is missing, or does not say what is needed here.
        """
        try:
            source = contracts.topic(settings.topic)
            if source.dead_letters is None or source.fields.event_id is None:
                raise ConfigurationError(
                    f"Topic {source.topic} names no dead_letters topic or no event_id: add both to its contract."
                )
            return cls(
                source,
                contracts.topic(settings.output_topic),
                contracts.topic(settings.revisions_topic),
                contracts.topic(source.dead_letters),
            )
        except ContractError as error:
            raise ConfigurationError(str(error)) from error

    def check(self, existing: Mapping[str, TopicInfo]) -> None:
        """Check that the topics are there.

        Raises:
            ConfigurationError: One is not, or there are fewer partitions of revisions than of outcomes.
        """
        missing = sorted({getattr(self, field.name).topic for field in fields(self)} - set(existing))
        if missing:
            raise ConfigurationError(f"No topic {', '.join(missing)}: run `headgate topics apply`.")
        source, beside = self.source.topic, self.revisions.topic
        if existing[beside].partitions < existing[source].partitions:
            raise ConfigurationError(
                f"{beside} has {existing[beside].partitions} partitions and {source} has {existing[source].partitions}: "
                f"add partitions to {beside}, one for each of the other's."
            )


def build(settings: Settings) -> Service:
    """Build the service on real clients.

    Raises:
        ConfigurationError: Contracts, topics or schemas are missing or wrong.
        UnavailableError: Broker or registry does not answer.
    """
    try:
        contracts = Contracts.load(settings.contracts_dir)
    except ContractError as error:
        raise ConfigurationError(str(error)) from error
    topics = Topics.of(settings, contracts)
    topics.check(KafkaAdmin(settings.kafka).topics())
    # The producer comes first: taking over the transactional id settles what the last holder left open.
    clients = Clients(
        transactions=KafkaTransactionalProducer(
            settings.kafka, transactional_id=f"{settings.group_id}-{settings.instance}"
        ),
        consumer=KafkaConsumer(settings.kafka, group_id=settings.group_id, instance_id=settings.instance),
        registry=ConfluentRegistry(settings.registry),
        read_range=partial(read_range, settings.kafka, timeout_s=READ_TIMEOUT_S),
    )
    return assemble(settings, contracts, topics, clients)


def assemble(settings: Settings, contracts: Contracts, topics: Topics, clients: Clients) -> Service:
    """Wire the service over any clients; raises as ``build``."""
    metrics = Metrics()
    worker = build_worker(settings, contracts, topics, clients, metrics)
    loop = Loop(
        clients.consumer,
        worker,
        topics=[topics.source.topic],
        drain_timeout_s=settings.drain_timeout_s,
        metrics=metrics,
        max_records=MAX_RECORDS,
    )
    return Service(
        name=SERVICE,
        loop=loop,
        metrics=metrics,
        ready=worker.why_not_ready,
        info=dict,
        close=lambda: None,
    )


def build_worker(
    settings: Settings,
    contracts: Contracts,
    topics: Topics,
    clients: Clients,
    metrics: Metrics,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> ReviewsWorker:
    """Wire the worker over any clients; raises as ``build``."""
    outcome, letters = contracts.record(topics.source.record), topics.dead_letters
    event_id = field_getter(topics.source.fields.event_id or "")
    return ReviewsWorker(
        consumer=clients.consumer,
        intake=Intake(Decoder(clients.registry, outcome), compile_rules(topics.source)),
        event_id=event_id,
        reviser=Reviser(
            _target(contracts, topics.output, clients.registry),
            outcome,
            event_id=event_id,
            pipeline_version=version("headgate-enricher"),
        ),
        dead_letters=DeadLetters(
            Encoder(clients.registry, letters.subject, contracts.record(letters.record)),
            letters.topic,
            SERVICE,
            max_bytes=letters.max_message_bytes - ENVELOPE_BYTES,
        ),
        outbox=Outbox(clients.transactions, clock),
        revisions=_revisions(settings, contracts, topics.revisions, clients),
        metrics=ReviewsMetrics(metrics),
        commit_interval_s=settings.commit_interval_ms / 1000,
        max_backlog=settings.max_backlog,
        clock=clock,
    )


def _target(contracts: Contracts, topic: TopicContract, registry: SchemaRegistry) -> Target:
    record = contracts.record(topic.record)
    return Target(
        topic.topic,
        record,
        Encoder(registry, topic.subject, record).encode,
        compile_rules(topic),
        max_bytes=topic.max_message_bytes - ENVELOPE_BYTES,
    )


def _revisions(
    settings: Settings, contracts: Contracts, topic: TopicContract, clients: Clients
) -> StateStore[Revision]:
    record = contracts.record(topic.record)
    codec = RevisionCodec(
        Encoder(clients.registry, topic.subject, record).encode, Decoder(clients.registry, record).decode
    )
    return StateStore(
        topic=topic.topic,
        codecs={settings.group_id: codec},
        read=clients.read_range,
        capacity=settings.revision_keys,
        folder=settings.state_dir,
    )
