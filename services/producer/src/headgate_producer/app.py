"""Wires the HTTP service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fastapi import Depends
from headgate_runtime.access import require_operator
from headgate_runtime.avro import Encoder
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.metrics import Metrics
from headgate_runtime.registry import ConfluentRegistry
from headgate_runtime.service import Service
from headgate_schemas import ContractError, Contracts

from headgate_producer.delivery import DeliveryLoop
from headgate_producer.ingestion import Ingestion
from headgate_producer.intake import Intake
from headgate_producer.metrics import ProducerMetrics
from headgate_producer.openapi import event_schema
from headgate_producer.sending import create_sending

if TYPE_CHECKING:
    from headgate_runtime.kafka.protocols import RecordProducer
    from headgate_runtime.registry import SchemaRegistry

    from headgate_producer.config import Settings


def build(settings: Settings) -> Service:
    """Build the service with real Kafka and a real registry.

    Raises:
        ConfigurationError: The contracts are wrong, or the topic's schema is not registered.
        UnavailableError: The registry does not answer.
    """
    producer = KafkaProducer(settings.kafka, properties=settings.producer_properties())
    return assemble(settings, producer, ConfluentRegistry(settings.registry))


def assemble(settings: Settings, producer: RecordProducer, registry: SchemaRegistry) -> Service:
    """Wire the service over any producer and registry; raises as ``build``."""
    try:
        contracts = Contracts.load(settings.contracts_dir)
        topic = contracts.topic(settings.topic)
    except ContractError as error:
        raise ConfigurationError(str(error)) from error
    record = contracts.record(topic.record)
    metrics = Metrics()
    ingest = settings.ingest
    own = ProducerMetrics(metrics)
    encoder = Encoder(registry, topic.subject, record)
    preparation, producer = create_sending(topic, record, encoder, producer, settings.tracing)
    intake = Intake(
        producer, own, max_outstanding=ingest.max_outstanding, stall_after_s=ingest.stall_after_s, clock=time.monotonic
    )
    loop = DeliveryLoop(
        producer, intake, drain_timeout_s=settings.drain_timeout_s, metrics=metrics, clock=time.monotonic
    )
    ingestion = Ingestion(preparation, intake, own, ingest)
    guards = [] if ingest.allow_anonymous else [Depends(require_operator)]
    return Service(
        name="producer",
        loop=loop,
        metrics=metrics,
        ready=intake.unavailable,
        info=lambda: {"topic": topic.topic, "schema": record.label, "outstanding": intake.outstanding()},
        close=producer.close,
        routers=[ingestion.router(event_schema(topic, record), guards)],
    )
