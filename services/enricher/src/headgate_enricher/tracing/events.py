"""One span a sampled event: from its arrival to the commit of what became of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headgate_runtime.tracing import is_sampled
from headgate_runtime.tracing.spans import begin_processing, fail, identify, traceparent_of
from headgate_schemas.agent import GreyCase
from opentelemetry.trace import set_span_in_context

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from headgate_runtime.records import Headers, Record, TopicPartition
    from headgate_schemas.agent import Decision
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from headgate_enricher.gateway.spending import Spent
    from headgate_enricher.work import Work

_NS = 1_000_000_000


@dataclass(slots=True)
class _Traced:
    """A sampled event on its way; holds the record, so that no other gets its identity meanwhile."""

    record: Record
    span: Span
    settled: bool = False


class EventSpans:
    """The spans of the sampled events that are not committed; for the loop's thread, but for :meth:`context_of`.

    Args:
        tracer: Begins spans.
        group: Consumer group.
        clock: Monotonic seconds, as of the partitions' arrivals.
        now_ns: Nanoseconds since the epoch.
    """

    def __init__(
        self,
        tracer: Tracer,
        *,
        group: str,
        clock: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._tracer = tracer
        self._group = group
        self._clock = clock
        self._now_ns = now_ns
        self._traced: dict[int, _Traced] = {}

    def triaged(self, works: Sequence[Work], began_ns: int) -> None:
        """Begin the spans of a batch's sampled events, each with a span of the batch's triage.

        Args:
            works: The batch, triaged.
            began_ns: When its triage began, nanoseconds since the epoch.
        """
        for work in works:
            if is_sampled(work.record.headers):
                span = self._begin(work.record, self._arrived_ns(work))
                attributes = {
                    "messaging.batch.message_count": len(works),
                    "headgate.grey": isinstance(work.triaged, GreyCase),
                }
                triage = self._tracer.start_span(
                    "triage", set_span_in_context(span), attributes=attributes, start_time=began_ns
                )
                triage.end(self._now_ns())

    def context_of(self, record: Record) -> Context | None:
        """Return the context of an event's span; None where the event is not sampled. Safe on any thread."""
        traced = self._traced.get(id(record))
        return None if traced is None else set_span_in_context(traced.span)

    def decided(self, work: Work, decision: Decision, spent: Spent, headers: Headers) -> bytes | None:
        """Say in an event's span what was decided.

        Args:
            work: The event, and who decided.
            decision: The decision.
            spent: Which model was asked, and what its answers cost.
            headers: Headers of the output.

        Returns:
            The traceparent of what goes on from the event; None where the event is not sampled.
        """
        traced = self._traced.get(id(work.record))
        if traced is None:
            return None
        span = traced.span
        span.set_attributes(
            {
                "headgate.decision": decision.decision,
                "headgate.tier": decision.tier,
                "headgate.agent": work.decider.name,
                "headgate.agent_version": work.decider.version,
                "headgate.model_calls": spent.usage.calls,
                "headgate.cost_microdollars": spent.cost_microdollars,
            }
        )
        if decision.fallback_reason is not None:
            span.set_attribute("headgate.fallback_reason", decision.fallback_reason)
        identify(span, headers)
        return self._settle(traced, "decided")

    def refused(self, record: Record, cause: str) -> bytes | None:
        """Say in an event's span that it is dead-lettered; returns as ``decided``."""
        if not is_sampled(record.headers):
            return None
        if id(record) not in self._traced:
            self._begin(record, self._now_ns())
        traced = self._traced[id(record)]
        fail(traced.span, cause)
        return self._settle(traced, "refused")

    def committed(self) -> None:
        """End the spans of what was decided or refused: all of it is committed."""
        self._end([traced for traced in self._traced.values() if traced.settled])

    def dropped(self, sources: Collection[TopicPartition]) -> None:
        """End the spans of events that another instance has to decide."""
        gone = [traced for traced in self._traced.values() if traced.record.source in sources]
        for traced in gone:
            traced.span.set_attribute("headgate.given_up", value=True)
        self._end(gone)

    def _begin(self, record: Record, start_ns: int) -> Span:
        span = begin_processing(self._tracer, record, group=self._group, start_ns=start_ns)
        self._traced[id(record)] = _Traced(record, span)
        return span

    def _arrived_ns(self, work: Work) -> int:
        now_s = self._clock()
        offset = work.record.offset
        arrived_s = next((arrived_s for arrived_s, last in work.partition.arrivals if last >= offset), now_s)
        return self._now_ns() - int((now_s - arrived_s) * _NS)

    def _settle(self, traced: _Traced, what: str) -> bytes:
        traced.settled = True
        traced.span.add_event(f"headgate.{what}")
        return traceparent_of(traced.span)

    def _end(self, ended: Sequence[_Traced]) -> None:
        for traced in ended:
            traced.span.end(self._now_ns())
            del self._traced[id(traced.record)]
