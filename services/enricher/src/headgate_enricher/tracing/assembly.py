"""Wires the spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import get_tracer

from headgate_enricher.stages import Stages
from headgate_enricher.tracing.events import EventSpans
from headgate_enricher.tracing.stages import TracedDeadLetters, TracedEnrichment, TracedJudge, TracedOutbox, traced_ask

if TYPE_CHECKING:
    from headgate_runtime.kafka.protocols import TransactionalProducer
    from opentelemetry.trace import Tracer


def traced_stages(
    stages: Stages, transactions: TransactionalProducer, *, group: str, tracer: Tracer | None = None
) -> Stages:
    """Put spans around the parts an event passes through.

    Args:
        stages: The parts.
        transactions: What the outbox sends with.
        group: Consumer group.
        tracer: Begins spans; None takes the process's own.
    """
    tracer = tracer or get_tracer("headgate_enricher")
    spans = EventSpans(tracer, group=group)
    return Stages(
        intake=stages.intake,
        judge=TracedJudge(stages.judge, spans),
        ask=traced_ask(stages.ask, spans, tracer),
        enrichment=TracedEnrichment(stages.enrichment, spans),
        dead_letters=TracedDeadLetters(stages.dead_letters, spans),
        outbox=TracedOutbox(transactions, spans),
    )
