"""The worker that counts events into windows, merges parts of them, and commits all of it with the offsets."""

from __future__ import annotations

import time
from collections import deque
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import structlog
from headgate_runtime.closing import closing
from headgate_runtime.errors import UnavailableError, UndecodableError
from headgate_runtime.outbox import Output
from headgate_runtime.placement import CommittedOffsets, Offset, Placement
from headgate_runtime.records import EARLIEST, OutgoingRecord, TopicPartition, column_of

from headgate_processor.merging import MergePartition
from headgate_processor.rows import Refused
from headgate_processor.source import SourcePartition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headgate_runtime.avro import Decoder
    from headgate_runtime.deadletters import DeadLetters
    from headgate_runtime.kafka.protocols import RecordConsumer
    from headgate_runtime.outbox import Outbox
    from headgate_runtime.records import Record
    from headgate_runtime.state import StateStore

    from headgate_processor.idle import Idleness
    from headgate_processor.limits import Limits
    from headgate_processor.metrics import ProcessorMetrics
    from headgate_processor.output import MetricRecords, PartRecords
    from headgate_processor.rows import Rows
    from headgate_processor.source import EventTime
    from headgate_processor.state import Layout

LATE_FOR: Final = "late-for"
INTAKE_BACKOFF_S: Final = 1.0
MAX_WAIT_S: Final = 60.0

Assigned = SourcePartition | MergePartition

logger = structlog.get_logger(__name__)


class ProcessorWorker:
    """The runtime's worker; only :meth:`why_not_ready` is for any thread.

    Args:
        consumer: The group member; asked for committed offsets and for the proof of ownership a transaction needs.
        source_topic: Topic of the events; everything else that is consumed are parts.
        rows: Decodes events.
        time: How their time is read.
        parts_decoder: Decodes parts.
        layout: Which states there are.
        sources: States beside the events.
        merges: States beside the parts.
        parts: Makes records of parts.
        metric_records: Makes records of merged windows.
        late_topic: Topic of events that came too late.
        dead_letters: Builds dead letters.
        outbox: Holds outputs until they are committed.
        idleness: Moves watermarks of partitions on which nothing comes.
        limits: Bounds.
        metrics: Metrics.
        clock: Monotonic seconds.
        now_ms: Milliseconds since the epoch.
    """

    def __init__(
        self,
        *,
        consumer: RecordConsumer,
        source_topic: str,
        rows: Rows,
        time: EventTime,
        parts_decoder: Decoder,
        layout: Layout,
        sources: StateStore[Any],
        merges: StateStore[Any],
        parts: PartRecords,
        metric_records: MetricRecords,
        late_topic: str,
        dead_letters: DeadLetters,
        outbox: Outbox,
        idleness: Idleness,
        limits: Limits,
        metrics: ProcessorMetrics,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._consumer = consumer
        self._source_topic = source_topic
        self._rows = rows
        self._time = time
        self._decode_parts = parts_decoder.decode
        self._layout = layout
        self._sources = sources
        self._merges = merges
        self._parts = parts
        self._metric_records = metric_records
        self._late_topic = late_topic
        self._dead_letters = dead_letters
        self._outbox = outbox
        self._idleness = idleness
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._now_ms = now_ms
        self._placement = Placement(CommittedOffsets(), consumer, self._restore, Offset(0), clock)
        self._assigned: dict[TopicPartition, Assigned] = {}
        self._inbox: deque[tuple[TopicPartition, Sequence[Record]]] = deque()
        self._intake_resume_s = self._commit_due_s = float("-inf")
        self._closing = False
        self._busy_since_s = float("inf")  # replaced as a whole, so that another thread may read it

    def assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Let partitions wait until :meth:`tick` knows where their last owner's last commit left them."""
        self._placement.expect(partitions)
        return dict.fromkeys(partitions, EARLIEST)

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        """Commit what is counted and leave the rest to the next owner."""
        self._commit()
        self.lose(partitions)

    def lose(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop everything of partitions that belong to another instance."""
        gone = set(partitions)
        self._placement.forget(gone)
        self._outbox.drop(gone)
        self._sources.drop(gone)
        self._merges.drop(gone)
        self._inbox = deque(run for run in self._inbox if run[0] not in gone)
        for source in gone:
            self._assigned.pop(source, None)

    def process(self, records: Sequence[Record]) -> None:
        """Take in consumed records, but those of partitions that wait for their place: they come again."""
        places = zip(column_of(records, "topic"), column_of(records, "partition"), strict=True)
        start = 0
        for (topic, partition), same in groupby(places):
            end = start + sum(1 for _ in same)
            source = TopicPartition(topic, partition)
            if source in self._assigned:
                self._inbox.append((source, records[start:end]))
            start = end
        self._work_inbox()

    def tick(self, *, draining: bool) -> None:  # noqa: ARG002 - commits follow each other closely at all times
        """Count what waits, close windows that are over, commit when it is time, and place partitions."""
        self._work_inbox()
        self._pass_time()
        self._close()
        self._outbox.stream()
        now_s = self._clock()
        full = len(self._outbox) >= self._limits.max_outputs
        if (full or now_s >= self._commit_due_s) and not self._outbox.backing_off:
            self._commit_due_s = now_s + self._limits.commit_interval_s
            self._commit()
        if self._placement.due:
            for assigned in self._placement.place():
                self._assigned[assigned.source] = assigned
                if isinstance(assigned, SourcePartition):
                    self._idleness.seen(assigned)
        waiting_s = min(self._busy_since_s, now_s) if self.busy() else float("inf")
        self._busy_since_s = min(waiting_s, self._placement.oldest_s)

    def congested(self) -> bool:
        """Whether no more records can be taken now."""
        waiting = bool(self._inbox) or self._closing or len(self._outbox) >= self._limits.max_outputs
        return waiting or len(self._placement) > 0

    def busy(self) -> bool:
        """Whether anything taken is not committed yet."""
        return bool(self._inbox) or any(assigned.changed for assigned in self._assigned.values())

    def why_not_ready(self) -> str | None:
        """Say since when something waits that should have been committed or placed long ago; safe on any thread."""
        waited_s = self._clock() - self._busy_since_s
        if waited_s <= MAX_WAIT_S:
            return None
        return f"a record or a new partition has waited {waited_s:.0f} s to be counted or placed; see the log"

    def close(self) -> None:
        """Let go of everything; what is not committed is counted by the next owner."""
        with closing(self._sources.close, "sources"), closing(self._merges.close, "merges"):
            self._outbox.close()

    def _restore(self, marks: Mapping[TopicPartition, Offset]) -> dict[TopicPartition, Assigned]:
        """Read back the states of new partitions; after their marks, for from then on the last owner commits no more."""
        events = [source for source in marks if source.topic == self._source_topic]
        parts = [source for source in marks if source.topic != self._source_topic]
        for states, places in ((self._sources, events), (self._merges, parts)):
            states.drop(places)  # what an earlier try has read
            states.assign(places)
        restored: dict[TopicPartition, Assigned] = {
            source: self._layout.source_partition(source, self._sources) for source in events
        }
        return restored | {source: self._layout.merge_partition(source, self._merges) for source in parts}

    def _work_inbox(self) -> None:
        """Count in order; where the registry does not answer, records stay here for a later try."""
        while self._inbox and self._clock() >= self._intake_resume_s:
            source, records = self._inbox[0]
            assigned = self._assigned[source]
            try:
                if isinstance(assigned, SourcePartition):
                    self._count(assigned, records)
                else:
                    self._merge(assigned, records)
            except UnavailableError as error:
                logger.warning("records wait for the schema registry", records=len(records), error=str(error))
                self._intake_resume_s = self._clock() + INTAKE_BACKOFF_S
                return
            self._inbox.popleft()

    def _count(self, assigned: SourcePartition, records: Sequence[Record]) -> None:
        rows = self._rows.decode(records)
        taken = assigned.take(records, rows, self._time)
        self._idleness.seen(assigned)
        for place, refused in taken.refused:
            self._refuse(assigned, records[place], refused)
        for place, missed in taken.late:
            self._set_aside(assigned, records[place], missed)
        self._metrics.taken(len(rows) - taken.passed_over - len(taken.refused), taken.passed_over)

    def _merge(self, assigned: MergePartition, records: Sequence[Record]) -> None:
        now_ms = self._now_ms()
        for record in records:
            try:
                parts = self._decode_parts(record.value)
            except UndecodableError as error:
                self._refuse(assigned, record, Refused(error.cause, str(error), schema_id=error.schema_id))
                assigned.next_offset = record.offset + 1
                continue
            late, foreign = assigned.take(parts, record.offset)
            self._metrics.unmerged("late", len(late))
            self._metrics.unmerged("foreign", foreign)
            for windows, told in late:
                made = self._metric_records.late_part(windows.plan, told, parts["source_partition"], now_ms)
                self._put(assigned, [made])

    def _refuse(self, assigned: Assigned, record: Record, refused: Refused) -> None:
        letter = self._dead_letters.record(
            record,
            cause=refused.cause,
            message=refused.message,
            field=refused.field,
            rule=refused.rule,
            schema_id=refused.schema_id,
        )
        logger.warning("record refused", source=record.source, offset=record.offset, cause=refused.cause)
        self._metrics.gave_up(refused.cause)
        self._put(assigned, [letter])

    def _set_aside(self, assigned: SourcePartition, record: Record, missed: Sequence[str]) -> None:
        for definition in missed:
            self._metrics.late(definition)
        headers = (*record.headers, (LATE_FOR, ",".join(missed).encode()))
        self._put(assigned, [OutgoingRecord(self._late_topic, record.key, record.value, headers)])

    def _pass_time(self) -> None:
        """Let watermarks of partitions move on where nothing comes; not while anything waits here."""
        if self._inbox or self._closing or len(self._placement):
            return
        sources = [each for each in self._assigned.values() if isinstance(each, SourcePartition)]
        self._metrics.advanced(self._idleness.pass_time(sources))

    def _close(self) -> None:
        """Close windows that are over, some keys at a time: between two commits no more is made than fits."""
        self._closing = False
        for assigned in self._assigned.values():
            if len(self._outbox) >= self._limits.max_outputs:
                self._closing = True
                return
            if isinstance(assigned, SourcePartition):
                done = assigned.close(self._limits.closed_at_once)
                made = assigned.take_made()
            else:
                made, done = assigned.closed(self._metric_records, self._limits.closed_at_once, self._now_ms())
            self._closing |= not done
            self._put(assigned, made)

    def _put(self, assigned: Assigned, made: Iterable[OutgoingRecord]) -> None:
        for record in made:
            self._outbox.put(Output(assigned.source, 0, record))
            assigned.changed = True

    def _commit(self) -> None:
        for assigned in self._assigned.values():
            if isinstance(assigned, SourcePartition):
                self._put(assigned, assigned.tell(self._parts))
        # Offsets go along with everything: with them the brokers make sure that this member still owns the partition.
        offsets = {source: offset for source in self._assigned if (offset := self._next_offset(source)) is not None}
        if not offsets:
            return
        changed = [self._assigned[source] for source in offsets]
        sources = [each.source for each in changed if isinstance(each, SourcePartition)]
        merges = [each.source for each in changed if isinstance(each, MergePartition)]
        for each in changed:
            if isinstance(each, SourcePartition):
                each.keep_time()
        changes = [*self._sources.changes(sources), *self._merges.changes(merges)]
        started_s = self._clock()
        committed = self._outbox.commit(changes, offsets, self._consumer.group_metadata)
        if committed is None:
            self._metrics.aborted()
            return
        self._sources.committed(sources)
        self._merges.committed(merges)
        for each in changed:
            each.changed = False
        self._show(self._clock() - started_s, [output.record.topic for output in committed])

    def _next_offset(self, source: TopicPartition) -> int | None:
        """Where to go on with a partition that has something to commit."""
        assigned = self._assigned[source]
        if not assigned.changed:
            return None
        return assigned.next_offset if assigned.next_offset is not None else self._consumer.position(source)

    def _show(self, seconds: float, topics: Sequence[str]) -> None:
        self._metrics.committed(seconds)
        for topic in (self._layout.profile_records.topic, self._metric_records.topic):
            self._metrics.closed(topic, topics.count(topic))
        sources = [each for each in self._assigned.values() if isinstance(each, SourcePartition)]
        self._metrics.at(
            {each.source.partition: each.watermark for each in sources if each.begun},
            sum(each.idle for each in sources),
        )
        self._metrics.held(
            in_memory=self._sources.in_memory + self._merges.in_memory,
            on_disk=self._sources.on_disk + self._merges.on_disk,
        )
