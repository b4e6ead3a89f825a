"""The dispatcher: every event once through triage, model or fallback, and out in the order of its key, exactly once.

All of it runs on the loop's thread. Only the waiting for models happens elsewhere, behind :class:`ModelCalls`.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.closing import closing
from headgate_runtime.errors import UnavailableError
from headgate_runtime.outbox import Outbox, Output
from headgate_runtime.placement import Placement
from headgate_runtime.records import EARLIEST
from headgate_schemas.agent import Decision, GreyCase

from headgate_enricher.deliberation import DEADLINE
from headgate_enricher.gateway.spending import NOTHING_SPENT, Spent
from headgate_enricher.intake import PassedOverError, RefusedError
from headgate_enricher.progress import START, PartitionProgress
from headgate_enricher.work import AgentFaultError, Answer, Partition, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from headgate_runtime.kafka.protocols import RecordConsumer
    from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
    from headgate_runtime.state import StateStore
    from headgate_schemas.agent import Memory

    from headgate_enricher.forgetting import Forgetting
    from headgate_enricher.limits import Limits
    from headgate_enricher.metrics import EnricherMetrics
    from headgate_enricher.model_thread import ModelCalls
    from headgate_enricher.progress import Mark
    from headgate_enricher.progress_log import ProgressLog
    from headgate_enricher.stages import Accepting, Answers, Beside, Enriching, Judging, Letters

AGENT_ERROR = "agent_error"
TOO_LARGE = "too_large"
INTAKE_BACKOFF_S = 1.0

logger = structlog.get_logger(__name__)


class Dispatcher:
    """The runtime's worker that makes decided events of events; only :meth:`why_not_ready` is for any thread.

    Args:
        consumer: The group member; asked for committed offsets and for the proof of ownership a transaction needs.
        intake: Decodes and checks records.
        judge: The agents' CPU-only half.
        model: Where grey events go.
        enrichment: Builds output records.
        dead_letters: Builds dead letters.
        outbox: Holds outputs until they are committed.
        progress_log: Reads and writes how far partitions are.
        results: Models' answers to events that are not done.
        memories: What the agents remember by key.
        forgetting: Keys whose memories are to go.
        beside: What else goes along with assigned partitions.
        limits: Bounds.
        metrics: Metrics.
        clock: Monotonic seconds; the same clock as the model's deadlines.
        now_ms: Milliseconds since the epoch.
    """

    def __init__(
        self,
        *,
        consumer: RecordConsumer,
        intake: Accepting,
        judge: Judging,
        model: ModelCalls,
        enrichment: Enriching,
        dead_letters: Letters,
        outbox: Outbox,
        progress_log: ProgressLog,
        results: Answers,
        memories: StateStore[Memory],
        forgetting: Forgetting,
        beside: Sequence[Beside] = (),
        limits: Limits,
        metrics: EnricherMetrics,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._consumer = consumer
        self._intake = intake
        self._judge = judge
        self._model = model
        self._enrichment = enrichment
        self._dead_letters = dead_letters
        self._outbox = outbox
        self._progress_log = progress_log
        self._results = results
        self._memories = memories
        self._forgetting = forgetting
        self._beside = beside
        self._placement = Placement(progress_log, consumer, self._restore, START, clock)
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._now_ms = now_ms
        self._partitions: dict[TopicPartition, Partition] = {}
        self._inbox: deque[Record] = deque()
        self._intake_resume_s = float("-inf")
        self._commit_due_s = float("-inf")
        self._congested = False
        self._oldest_s = float("inf")  # replaced as a whole, so that another thread may read it

    def assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Let partitions wait until :meth:`tick` knows where their last owner's last commit left them."""
        self._placement.expect(partitions)
        # Any answer but this one would be asked of the broker here; what comes until the seek is not taken up.
        return dict.fromkeys(partitions, EARLIEST)

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        """Commit what is finished and leave the rest to the next owner: the done-set tells it what to skip."""
        self._collect()
        self._commit()
        self._forget(partitions)

    def lose(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop everything of partitions that belong to another instance already."""
        self._forget(partitions)

    def process(self, records: Sequence[Record]) -> None:
        """Take in consumed records, but those of partitions that wait for their place: they come again."""
        last: dict[TopicPartition, int] = {}
        for record in records:
            source = record.source
            if source in self._partitions:
                self._inbox.append(record)
                last[source] = record.offset
        now_s = self._clock()
        for source, offset in last.items():
            self._partitions[source].arrivals.append((now_s, offset))
        self._work_inbox()

    def tick(self, *, draining: bool) -> None:  # noqa: ARG002 - commits follow each other closely at all times
        """Let out what the model has answered, commit when it is time, and place partitions that wait for it."""
        self._collect()
        self._work_inbox()
        self._outbox.stream()
        if self._forgetting.stage(self._partitions.values()):
            self._commit_due_s = float("-inf")
        now_s = self._clock()
        # Placing may take long: nothing that is finished waits for it.
        placing = self._placement.due
        if (placing or now_s >= self._commit_due_s) and not self._outbox.backing_off:
            self._commit_due_s = now_s + self._limits.commit_interval_s
            self._commit()
        if placing:
            self._place()
        self._oldest_s = min([self._placement.oldest_s, *(p.oldest_s for p in self._partitions.values())])

    def congested(self) -> bool:
        """Whether consumption should pause: for partitions without a place, or until half of the backlog is gone."""
        limits = self._limits
        backlog = len(self._inbox) + len(self._outbox) + sum(p.progress.pending for p in self._partitions.values())
        bound = limits.max_backlog // 2 if self._congested else limits.max_backlog
        # Only a consumed record can move the watermark of a partition where nothing is pending: that one never pauses.
        scattered = any(p.done_bytes > limits.max_done_bytes and p.progress.pending for p in self._partitions.values())
        self._congested = backlog > bound or scattered
        return self._congested or len(self._placement) > 0

    def busy(self) -> bool:
        """Whether anything taken up is not committed yet."""
        return len(self._outbox) > 0 or any(p.progress.pending for p in self._partitions.values())

    def why_not_ready(self) -> str | None:
        """Say since when something waits that should have been committed or placed long ago; safe on any thread."""
        waited_s = self._clock() - self._oldest_s
        if waited_s <= self._limits.max_wait_s:
            return None
        return f"the oldest record or new partition has waited {waited_s:.0f} s to be committed or placed; see the log"

    def close(self) -> None:
        """Stop the model thread and the producer; what is not committed is done again by the next owner."""
        with (
            closing(self._memories.close, "memories"),
            closing(self._outbox.close, "outbox"),
            closing(self._results.close, "results"),
        ):
            self._model.close()

    def _place(self) -> None:
        for partition in self._placement.place():
            self._partitions[partition.source] = partition
            logger.info("partition assigned", source=partition.source, watermark=partition.progress.mark().watermark)

    def _restore(self, marks: Mapping[TopicPartition, Mark]) -> dict[TopicPartition, Partition]:
        """Read back what belongs to new partitions; after their marks, for from then on the last owner commits no more."""
        self._memories.drop(marks)  # what an earlier try has read
        self._memories.assign(list(marks))
        partitions = {
            source: Partition(source, PartitionProgress(mark), self._memories.of(source))
            for source, mark in marks.items()
        }
        self._results.restore(
            {source: (partition.progress, marks[source].answers_from) for source, partition in partitions.items()}
        )
        for each in self._beside:
            each.drop(marks)
            each.assign(marks)
        return partitions

    def _forget(self, partitions: Collection[TopicPartition]) -> None:
        gone = set(partitions)
        self._placement.forget(gone)
        self._outbox.drop(gone)
        self._memories.drop(gone)
        for each in self._beside:
            each.drop(gone)
        self._inbox = deque(record for record in self._inbox if record.source not in gone)
        for source in gone:
            partition = self._partitions.pop(source, None)
            if partition is not None:
                self._model.cancel(partition.at_model)
                logger.info("partition given up", source=source, pending=partition.progress.pending)
        self._results.release(gone)

    def _work_inbox(self) -> None:
        while self._inbox and self._clock() >= self._intake_resume_s and not self._model_full():
            works = self._take_batch()
            if works:
                self._judge.triage(works)
            for work in works:
                self._route(work)

    def _model_full(self) -> bool:
        return sum(len(p.at_model) for p in self._partitions.values()) >= self._limits.max_at_model

    def _take_batch(self) -> list[Work]:
        """Take records off the inbox; where the registry does not answer, they stay there for a later try."""
        works: list[Work] = []
        deadline_s = self._clock() + self._limits.event_deadline_s
        while self._inbox and len(works) < self._limits.triage_batch:
            try:
                work = self._take(self._inbox[0], deadline_s)
            except UnavailableError as error:
                logger.warning("records wait for the schema registry", records=len(self._inbox), error=str(error))
                self._intake_resume_s = self._clock() + INTAKE_BACKOFF_S
                break
            self._inbox.popleft()
            if work is not None:
                works.append(work)
        return works

    def _take(self, record: Record, deadline_s: float) -> Work | None:
        partition = self._partitions.get(record.source)
        if partition is None:
            return None
        try:
            event, decider = self._intake.accept(record)
        except RefusedError as refusal:
            if partition.progress.admit(record.offset):
                self._refuse(partition, record, refusal)
            return None
        except PassedOverError:
            if partition.progress.admit(record.offset):
                partition.progress.complete(record.offset)
            return None
        if not partition.progress.admit(record.offset):
            return None
        return Work(partition, record, event, deadline_s, decider)

    def _route(self, work: Work) -> None:
        slow = isinstance(work.triaged, GreyCase)
        if work.partition.lanes.enter(work.record.key, work, slow=slow) and self._let_out(work) and slow:
            self._let_followers_out(work)

    def _let_out(self, work: Work) -> bool:
        """Emit an event whose turn it is; False if the model has to be asked first."""
        triaged = work.triaged
        if isinstance(triaged, Decision):
            self._emit(work, triaged, NOTHING_SPENT)
        elif isinstance(triaged, AgentFaultError):
            self._fault(work, triaged)
        elif self._clock() < work.deadline_s:
            work.partition.at_model.add(work)
            self._model.submit(work, triaged)
            return False
        else:
            self._conclude(work, triaged, Answer(None, DEADLINE, seconds=0.0))
        return True

    def _collect(self) -> None:
        for work, answer in self._model.collect():
            if self._partitions.get(work.partition.source) is not work.partition:
                continue
            work.partition.at_model.discard(work)
            self._metrics.answered(answer)
            if isinstance(work.triaged, GreyCase):
                self._conclude(work, work.triaged, answer)
            self._let_followers_out(work)

    def _let_followers_out(self, leader: Work) -> None:
        """Let out what waited behind a grey event, up to the next one that has to wait for the model itself."""
        lanes, key = leader.partition.lanes, leader.record.key
        passed = True
        while passed:
            passed = False
            for follower in lanes.leave(key):
                out = self._let_out(follower)
                passed = out and isinstance(follower.triaged, GreyCase)

    def _conclude(self, work: Work, case: GreyCase, answer: Answer) -> None:
        try:
            decision = self._judge.conclude(work, case, answer)
        except AgentFaultError as fault:
            self._fault(work, fault)
        else:
            self._emit(work, decision, answer.spent)

    def _emit(self, work: Work, decision: Decision, spent: Spent) -> None:
        work.stage_memory()
        now_ms = self._now_ms()
        try:
            output = self._enrichment.build(work, decision, spent, now_ms=now_ms)
            reason = decision.review
            review = None if reason is None else self._enrichment.ask(output, reason, now_ms=now_ms)
        except AgentFaultError as fault:
            self._fault(work, fault)
            return
        if _size(output) > self._limits.max_output_bytes:
            message = f"The decided event is larger than {self._limits.max_output_bytes} bytes; make the event smaller."
            self._refuse(work.partition, work.record, RefusedError(TOO_LARGE, message))
            return
        self._metrics.decided(decision)
        if reason is not None and review is not None:
            self._metrics.review_requested(reason)
        self._put(work.partition, work.record, output, review)

    def _fault(self, work: Work, fault: AgentFaultError) -> None:
        work.stage_memory()
        refusal = RefusedError(AGENT_ERROR, str(fault), field=fault.field, rule=fault.rule)
        self._refuse(work.partition, work.record, refusal)

    def _refuse(self, partition: Partition, record: Record, refusal: RefusedError) -> None:
        letter = self._dead_letters.record(
            record,
            cause=refusal.cause,
            message=str(refusal),
            field=refusal.field,
            rule=refusal.rule,
            schema_id=refusal.schema_id,
        )
        self._metrics.gave_up(refusal.cause)
        self._put(partition, record, letter)

    def _put(
        self, partition: Partition, record: Record, output: OutgoingRecord, review: OutgoingRecord | None = None
    ) -> None:
        self._outbox.put(Output(partition.source, record.timestamp_ms, output, review))
        partition.progress.complete(record.offset)

    def _commit(self) -> None:
        changed = [partition for partition in self._partitions.values() if partition.progress.changed]
        if not changed:
            return
        progress: list[OutgoingRecord] = []
        offsets: dict[TopicPartition, int] = {}
        for partition in changed:
            mark = partition.progress.mark()._replace(answers_from=self._results.answers_from(partition.source))
            partition.done_bytes = len(mark.done)
            offsets[partition.source] = mark.watermark
            progress.append(self._progress_log.record(partition.source, mark))
        changes = self._memories.changes(offsets)
        started_s = self._clock()
        committed = self._outbox.commit([*changes, *progress], offsets, self._consumer.group_metadata)
        if committed is None:
            self._metrics.aborted()
            return
        self._memories.committed(offsets)
        self._forgetting.committed(self._partitions.values())
        for partition in changed:
            partition.progress.changed = False
            partition.committed(offsets[partition.source])
        now_ms = self._now_ms()
        self._metrics.committed(
            self._clock() - started_s, [(now_ms - output.arrived_ms) / 1000 for output in committed]
        )
        self._metrics.under_way(
            in_flight=sum(p.progress.pending for p in self._partitions.values()),
            at_model=sum(len(p.at_model) for p in self._partitions.values()),
            waiting=sum(p.lanes.waiting for p in self._partitions.values()),
        )
        self._metrics.remembered(in_memory=self._memories.in_memory, on_disk=self._memories.on_disk)


def _size(record: OutgoingRecord) -> int:
    """Bytes of a record's value."""
    return len(record.value or b"")
