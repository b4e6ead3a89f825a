"""The worker that joins outcomes in their order, exactly once."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from headgate_runtime.closing import closing
from headgate_runtime.errors import UnavailableError
from headgate_runtime.outbox import Outbox, Output
from headgate_runtime.placement import CommittedOffsets, Offset, Placement
from headgate_runtime.records import EARLIEST

from headgate_enricher.intake import Intake, RefusedError
from headgate_enricher.reviews.revision import Reviser, Revision

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from headgate_runtime.deadletters import DeadLetters
    from headgate_runtime.kafka.protocols import RecordConsumer
    from headgate_runtime.records import Record, TopicPartition
    from headgate_runtime.state import PartitionState, StateStore
    from headgate_schemas import Getter

    from headgate_enricher.reviews.metrics import ReviewsMetrics

INTAKE_BACKOFF_S = 1.0
MAX_WAIT_S = 30.0

logger = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Assigned:
    """A partition whose place is known.

    Attributes:
        source: Topic and partition number.
        revisions: Last revision by event.
        next_offset: Everything below is worked on, and committed with the next commit; None until the first record.
        joined: Action, and seconds the person took, of what is not committed yet.
    """

    source: TopicPartition
    revisions: PartitionState[Revision]
    next_offset: int | None = None
    joined: list[tuple[str, float]] = field(default_factory=list)


class ReviewsWorker:
    """The runtime's worker; only :meth:`why_not_ready` is for any thread.

    Args:
        consumer: The group member; asked for committed offsets and for the proof of ownership a transaction needs.
        intake: Decodes and checks outcomes.
        event_id: Gives the id of an outcome's event.
        reviser: Builds later records.
        dead_letters: Builds dead letters.
        outbox: Holds outputs until they are committed.
        revisions: Last revision by event.
        metrics: Metrics.
        commit_interval_s: Least time between two commits.
        max_backlog: Outcomes in memory at which consumption pauses.
        clock: Monotonic seconds.
        now_ms: Milliseconds since the epoch.
    """

    def __init__(
        self,
        *,
        consumer: RecordConsumer,
        intake: Intake,
        event_id: Getter,
        reviser: Reviser,
        dead_letters: DeadLetters,
        outbox: Outbox,
        revisions: StateStore[Revision],
        metrics: ReviewsMetrics,
        commit_interval_s: float,
        max_backlog: int,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._consumer = consumer
        self._intake = intake
        self._event_id = event_id
        self._reviser = reviser
        self._dead_letters = dead_letters
        self._outbox = outbox
        self._revisions = revisions
        self._metrics = metrics
        self._commit_interval_s = commit_interval_s
        self._max_backlog = max_backlog
        self._clock = clock
        self._now_ms = now_ms
        self._placement = Placement(CommittedOffsets(), consumer, self._restore, Offset(0), clock)
        self._assigned: dict[TopicPartition, Assigned] = {}
        self._inbox: deque[Record] = deque()
        self._intake_resume_s = self._commit_due_s = float("-inf")
        self._busy_since_s = float("inf")  # replaced as a whole, so that another thread may read it

    def assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Let partitions wait until :meth:`tick` knows where their last owner's last commit left them."""
        self._placement.expect(partitions)
        return dict.fromkeys(partitions, EARLIEST)

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        """Commit what is joined and leave the rest to the next owner."""
        self._commit()
        self.lose(partitions)

    def lose(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop everything of partitions that belong to another instance."""
        gone = set(partitions)
        self._placement.forget(gone)
        self._outbox.drop(gone)
        self._revisions.drop(gone)
        self._inbox = deque(record for record in self._inbox if record.source not in gone)
        for source in gone:
            self._assigned.pop(source, None)

    def process(self, records: Sequence[Record]) -> None:
        """Take in consumed records, but those of partitions that wait for their place: they come again."""
        self._inbox.extend(record for record in records if record.source in self._assigned)
        self._work_inbox()

    def tick(self, *, draining: bool) -> None:  # noqa: ARG002 - commits follow each other closely at all times
        """Join what waits, commit when it is time, and place partitions that wait for it."""
        self._work_inbox()
        self._outbox.stream()
        now_s = self._clock()
        if now_s >= self._commit_due_s and not self._outbox.backing_off:
            self._commit_due_s = now_s + self._commit_interval_s
            self._commit()
        if self._placement.due:
            for assigned in self._placement.place():
                self._assigned[assigned.source] = assigned
        waiting_s = min(self._busy_since_s, now_s) if self.busy() else float("inf")
        self._busy_since_s = min(waiting_s, self._placement.oldest_s)

    def congested(self) -> bool:
        """Whether no more outcomes can be taken now."""
        return len(self._inbox) + len(self._outbox) >= self._max_backlog or len(self._placement) > 0

    def busy(self) -> bool:
        """Whether anything taken is not committed yet."""
        return bool(self._inbox) or any(assigned.next_offset is not None for assigned in self._assigned.values())

    def why_not_ready(self) -> str | None:
        """Say since when something waits that should have been committed or placed long ago; safe on any thread."""
        waited_s = self._clock() - self._busy_since_s
        if waited_s <= MAX_WAIT_S:
            return None
        return f"an outcome or a new partition has waited {waited_s:.0f} s to be joined or placed; see the log"

    def close(self) -> None:
        """Let go of everything; what is not committed is joined by the next owner."""
        with closing(self._revisions.close, "revisions"):
            self._outbox.close()

    def _restore(self, marks: Mapping[TopicPartition, Offset]) -> dict[TopicPartition, Assigned]:
        """Read back the revisions of new partitions; after their marks, for from then on the last owner commits no more."""
        self._revisions.drop(marks)  # what an earlier try has read
        self._revisions.assign(list(marks))
        return {source: Assigned(source, self._revisions.of(source)[0]) for source in marks}

    def _work_inbox(self) -> None:
        """Join in order; where the registry does not answer, outcomes stay here for a later try."""
        while self._inbox and self._clock() >= self._intake_resume_s:
            record = self._inbox[0]
            try:
                self._work(self._assigned[record.source], record)
            except UnavailableError as error:
                logger.warning("outcomes wait for the schema registry", outcomes=len(self._inbox), error=str(error))
                self._intake_resume_s = self._clock() + INTAKE_BACKOFF_S
                return
            self._inbox.popleft()

    def _work(self, assigned: Assigned, record: Record) -> None:
        try:
            self._join(assigned, record, self._intake.accept(record))
        except RefusedError as refusal:
            self._refuse(assigned, record, refusal)
        assigned.next_offset = record.offset + 1

    def _join(self, assigned: Assigned, record: Record, value: Mapping[str, Any]) -> None:
        key = str(self._event_id(value)).encode()
        last = assigned.revisions.get(key)
        if last is not None and record.offset <= last.outcome_offset:
            logger.warning("outcome passed over: it was joined before", source=record.source, offset=record.offset)
            self._metrics.repeated()
            return
        revision = max(last.revision if last else 0, value["agent_metadata"]["revision"]) + 1
        output = self._reviser.build(record, value, revision, now_ms=self._now_ms())
        state = Revision(revision, record.offset)
        assigned.revisions.put(key, state)
        assigned.revisions.stage(key, state)
        self._outbox.put(Output(assigned.source, record.timestamp_ms, output))
        answer_s = (value["outcome"]["decided_at"] - value["review"]["requested_at"]) / 1000
        assigned.joined.append((value["outcome"]["action"], max(0.0, answer_s)))

    def _refuse(self, assigned: Assigned, record: Record, refusal: RefusedError) -> None:
        letter = self._dead_letters.record(
            record,
            cause=refusal.cause,
            message=str(refusal),
            field=refusal.field,
            rule=refusal.rule,
            schema_id=refusal.schema_id,
        )
        logger.warning("outcome refused", source=record.source, offset=record.offset, cause=refusal.cause)
        self._metrics.gave_up(refusal.cause)
        self._outbox.put(Output(assigned.source, record.timestamp_ms, letter))

    def _commit(self) -> None:
        offsets = {source: each.next_offset for source, each in self._assigned.items() if each.next_offset is not None}
        if not offsets:
            return
        changes = self._revisions.changes(offsets)
        started_s = self._clock()
        if self._outbox.commit(changes, offsets, self._consumer.group_metadata) is None:
            self._metrics.aborted()
            return
        self._revisions.committed(offsets)
        self._metrics.committed(self._clock() - started_s, self._take_joined(offsets))

    def _take_joined(self, sources: Collection[TopicPartition]) -> list[tuple[str, float]]:
        """What the commit of these partitions joined; from here on nothing of them waits."""
        joined: list[tuple[str, float]] = []
        for source in sources:
            assigned = self._assigned[source]
            joined += assigned.joined
            assigned.joined, assigned.next_offset = [], None
        return joined
