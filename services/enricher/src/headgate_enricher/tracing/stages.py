"""The dispatcher's parts with spans around them; each does what the part it is made of does."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from headgate_runtime.outbox import Outbox
from headgate_runtime.tracing import with_traceparent
from headgate_runtime.tracing.spans import current_span, fail

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from headgate_runtime.kafka.protocols import TransactionalProducer
    from headgate_runtime.outbox import Output
    from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
    from headgate_schemas.agent import Decision, GreyCase
    from opentelemetry.trace import Tracer

    from headgate_enricher.gateway.spending import Spent
    from headgate_enricher.model_thread import Ask
    from headgate_enricher.stages import Enriching, Judging, Letters
    from headgate_enricher.tracing.events import EventSpans
    from headgate_enricher.work import Answer, Work


class TracedJudge:
    """Begins the spans of sampled events with their triage.

    Args:
        judge: Calls the agent.
        spans: Spans of events.
    """

    def __init__(self, judge: Judging, spans: EventSpans) -> None:
        self.conclude = judge.conclude
        self._judge = judge
        self._spans = spans

    def triage(self, works: Sequence[Work]) -> None:
        """Triage a micro-batch."""
        began_ns = time.time_ns()
        self._judge.triage(works)
        self._spans.triaged(works, began_ns)


class TracedEnrichment:
    """Says in the spans what was decided, and lets the outputs' traces go on from them.

    Args:
        enrichment: Builds output records.
        spans: Spans of events.
    """

    def __init__(self, enrichment: Enriching, spans: EventSpans) -> None:
        self.ask = enrichment.ask
        self._enrichment = enrichment
        self._spans = spans

    def build(self, work: Work, decision: Decision, spent: Spent, *, now_ms: int) -> OutgoingRecord:
        """Build the output record of a decided event."""
        output = self._enrichment.build(work, decision, spent, now_ms=now_ms)
        return _go_on(output, self._spans.decided(work, decision, spent, output.headers))


class TracedDeadLetters:
    """Says in the spans what was refused, and lets the dead letters' traces go on from them.

    Args:
        letters: Builds dead letters.
        spans: Spans of events.
    """

    def __init__(self, letters: Letters, spans: EventSpans) -> None:
        self._letters = letters
        self._spans = spans

    def record(self, source: Record, *, cause: str, **details: Any) -> OutgoingRecord:
        """Wrap a record."""
        letter = self._letters.record(source, cause=cause, **details)
        return _go_on(letter, self._spans.refused(source, cause))


class TracedOutbox(Outbox):
    """Ends the spans of what is committed.

    Args:
        transactions: The producer.
        spans: Spans of events.
    """

    def __init__(self, transactions: TransactionalProducer, spans: EventSpans) -> None:
        super().__init__(transactions)
        self._spans = spans

    def commit(
        self, progress: Sequence[OutgoingRecord], offsets: Mapping[TopicPartition, int], group: Callable[[], object]
    ) -> list[Output] | None:
        """Commit all outputs with what belongs to them."""
        committed = super().commit(progress, offsets, group)
        if committed is not None:
            self._spans.committed()
        return committed

    def drop(self, sources: Collection[TopicPartition]) -> None:
        """Forget the outputs of partitions that belong to another instance now."""
        super().drop(sources)
        self._spans.dropped(sources)


def traced_ask(ask: Ask, spans: EventSpans, tracer: Tracer) -> Ask:
    """Put a span around the deliberation on a sampled event; what is traced inside is below it.

    Args:
        ask: Deliberates.
        spans: Spans of events.
        tracer: Begins spans.
    """

    async def traced(work: Work, case: GreyCase) -> Answer:
        context = spans.context_of(work.record)
        if context is None:
            return await ask(work, case)
        decider = work.decider
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": "aws.bedrock",
            "gen_ai.agent.name": decider.name,
            "gen_ai.agent.version": decider.version,
        }
        with current_span(tracer, f"invoke_agent {decider.name}", attributes, context=context) as span:
            answer = await ask(work, case)
            spent = answer.spent
            span.set_attributes(
                {
                    "gen_ai.usage.input_tokens": spent.usage.input_tokens,
                    "gen_ai.usage.output_tokens": spent.usage.output_tokens,
                    "headgate.cost_microdollars": spent.cost_microdollars,
                }
            )
            if answer.reason is not None:
                fail(span, answer.reason)
        return answer

    return traced


def _go_on(output: OutgoingRecord, traceparent: bytes | None) -> OutgoingRecord:
    if traceparent is None:
        return output
    return dataclasses.replace(output, headers=with_traceparent(output.headers, traceparent))
