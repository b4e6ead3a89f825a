"""The end of a trace: one span a sampled record, from its arrival to the commit that stored its row."""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING, Any

from headgate_runtime.tracing import is_sampled
from headgate_runtime.tracing.spans import begin_processing, fail

from headgate_writer.commit import Outcome
from headgate_writer.sink import Sink, SinkParts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headgate_runtime.records import Record, TopicPartition
    from opentelemetry.trace import Span, Tracer

    from headgate_writer.buffer import Buffer
    from headgate_writer.decode import Rejected
    from headgate_writer.metrics import WriterMetrics
    from headgate_writer.runs import Run


class TracedSink(Sink):
    """A sink that says in spans which snapshot holds a row.

    Args:
        parts: What it is made of.
        metrics: Metrics.
        tracer: Begins spans.
        group: Consumer group.
        now_ns: Nanoseconds since the epoch.
        clocks: As a sink takes them.
    """

    def __init__(
        self,
        parts: SinkParts,
        metrics: WriterMetrics,
        *,
        tracer: Tracer,
        group: str,
        now_ns: Callable[[], int] = time.time_ns,
        **clocks: Any,
    ) -> None:
        super().__init__(parts, metrics, **clocks)
        self._tracer = tracer
        self._group = group
        self._now_ns = now_ns
        self._spans: dict[tuple[TopicPartition, int], Span] = {}

    def take(self, runs: Sequence[Run]) -> None:
        """Decode and buffer records."""
        for record in chain.from_iterable(run.records for run in runs):
            if is_sampled(record.headers) and self._awaits(record):
                span = begin_processing(self._tracer, record, group=self._group, start_ns=self._now_ns())
                self._spans[record.source, record.offset] = span
        super().take(runs)

    def step(self, *, force: bool = False) -> Outcome:
        """Close the buffer if it is due, and take the committer one step on."""
        outcome = super().step(force=force)
        if outcome is Outcome.LANDED and self._spans:
            self._end_stored()
        return outcome

    def drop(self) -> None:
        """Forget everything that is not in the table."""
        super().drop()
        for span in self._spans.values():
            span.set_attribute("headgate.given_up", value=True)
            span.end(self._now_ns())
        self._spans.clear()

    def _awaits(self, record: Record) -> bool:
        """Whether a record is taken now: not what was taken before, nor what has no position yet."""
        expected = self._next.get(record.source)
        return expected is not None and record.offset >= expected and (record.source, record.offset) not in self._spans

    def _reject(self, buffer: Buffer, reject: Rejected) -> None:
        super()._reject(buffer, reject)
        span = self._spans.get((reject.record.source, reject.record.offset))
        if span is not None:
            fail(span, reject.cause)

    def _end_stored(self) -> None:
        stored, head = self.stored(), self.parts.committer.head
        for place in [place for place in self._spans if place[1] < stored.get(place[0], 0)]:
            span = self._spans.pop(place)
            span.set_attribute("headgate.table", self.parts.table)
            if head is not None and head.snapshot_id is not None:
                span.set_attribute("headgate.snapshot_id", str(head.snapshot_id))
            span.end(self._now_ns())
