"""One table's maintenance, a round at a time: expire, look at every file, delete what is over, compact what is small.

A round is a generator. It yields what it needs next: work for the background thread, a moment between two commits for
what concerns the catalog, or some time. Hence the catalog is spoken to by the loop's thread alone, and files are
touched by the other one alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
from headgate_runtime.errors import UnavailableError
from pyiceberg.table import TableProperties
from pyiceberg.utils.properties import property_as_int

from headgate_writer.commit import Backoff
from headgate_writer.errors import ConflictError, SourcesGoneError, UnknownOutcomeError
from headgate_writer.maintenance.compaction import Compacted, compact
from headgate_writer.maintenance.ledger import Ledger
from headgate_writer.maintenance.packing import Plan, Quiet
from headgate_writer.maintenance.reachability import Reachability, Survey
from headgate_writer.maintenance.stored import delete_files, list_files, orphans

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Generator

    from pyiceberg.table.metadata import TableMetadata

    from headgate_writer.iceberg import IcebergTable
    from headgate_writer.maintenance.metrics import MaintenanceMetrics
    from headgate_writer.maintenance.packing import CompactionPolicy
    from headgate_writer.maintenance.stored import StoredFile
    from headgate_writer.table import Head

_log = structlog.get_logger()

# A survey says what may be deleted, so it must be young; what is left then waits for the next one.
_BATCHES_A_SURVEY: Final = 30
_COMPACTED_FORMAT: Final = 2
# Taken for the Arrow bytes of a row until some were read.
_FIRST_ROW_BYTES: Final = 1024.0
_OUTCOMES: Final = {ConflictError: "conflict", UnknownOutcomeError: "unknown", UnavailableError: "unavailable"}


@dataclass(frozen=True, slots=True)
class Between:
    """Wait for a moment in which no commit is on its way."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Wait until this is done in the background; its result is sent back, or its exception raised."""

    run: Callable[[], Any]


Wait = Between | Pause | Work


@dataclass(frozen=True, slots=True)
class DeletionPolicy:
    """When files that nothing refers to are deleted.

    Attributes:
        expired_age_s: Seconds between the first look at a table that no longer refers to a file and its deletion:
            longer than the longest query.
        orphan_age_s: Age by the store's clock below which a file that nothing refers to is left alone: somebody may
            be about to commit it. Writers give up files that are half as old.
        per_s: Files deleted a second, at most.
    """

    expired_age_s: float = 3_600.0
    orphan_age_s: float = 259_200.0
    per_s: int = 50


class Maintainer:
    """Maintains one table; every call is for the loop's thread.

    Attributes:
        table: The table.
        doing: What the round is about now: expire, survey, list, delete, compact; None between rounds.
        small: Small files at the last survey.
        failure: Why the last round failed, None where it did not.
    """

    def __init__(
        self,
        table: IcebergTable,
        metrics: MaintenanceMetrics,
        *,
        compaction: CompactionPolicy,
        deletion: DeletionPolicy,
        event_time: tuple[str, ...] | None,
        clock: Callable[[], float],
        clock_ms: Callable[[], int],
        rng: random.Random,
    ) -> None:
        """Build the maintainer.

        Args:
            table: The committer's own table.
            metrics: Metrics.
            compaction: When and how much is compacted.
            deletion: When and how fast files are deleted.
            event_time: Path of the column by which a table without a sort order is sorted.
            clock: Monotonic seconds.
            clock_ms: Milliseconds since the epoch.
            rng: Jitter between attempts to commit.
        """
        self.table = table
        self.doing: str | None = None
        self.small = 0
        self.failure: str | None = None
        self._metrics = metrics
        self._compaction = compaction
        self._deletion = deletion
        self._event_time = event_time
        self._clock = clock
        self._clock_ms = clock_ms
        self._rng = rng
        self._reachability = Reachability()
        self._quiet = Quiet()
        self._ledger = Ledger(grace_s=deletion.expired_age_s)
        self._row_bytes = _FIRST_ROW_BYTES
        self._last: Survey | None = None
        self._listed_at: float | None = None

    @property
    def condemned(self) -> int:
        """Files that nothing refers to and that are still there."""
        return len(self._ledger)

    def round(self, *, everything: bool = False) -> Generator[Wait, Any, bool]:
        """Do what is due; return whether more is due already.

        Args:
            everything: Take every partition for a quiet one, and list the store whether it is time or not.

        Raises:
            HeadgateError, OSError: It was given up; beginning anew later is safe.
        """
        head = yield from self._expire()
        survey = yield from self._survey()
        if everything or self._listing_due():
            yield from self._list(survey)
            head = yield from self._look()
            survey = yield from self._survey()
        undeleted = yield from self._delete()
        if head.positions is None or survey.row_deletes or self.table.metadata.format_version != _COMPACTED_FORMAT:
            return undeleted
        plan: Plan = yield Work(partial(self._plan, survey, self.table.metadata, everything=everything))
        self.small = plan.small
        self._metrics.small_files.labels(self.table.name).set(plan.small)
        if plan.groups:
            yield from self._compact(survey, plan)
        return undeleted or plan.more

    def _expire(self) -> Generator[Wait, Any, Head]:
        self.doing = "expire"
        head = yield from self._look()
        try:
            if self.table.expire(head):
                self._done("expire")
        except (ConflictError, UnknownOutcomeError) as error:
            self._count("expire", _OUTCOMES[type(error)])
            head = yield from self._look()
        return head

    def _look(self) -> Generator[Wait, Any, Head]:
        yield Between()
        return self.table.refresh()

    def _survey(self) -> Generator[Wait, Any, Survey]:
        self.doing = "survey"
        metadata, location, io = self.table.metadata, self.table.metadata_location, self.table.io
        survey: Survey = yield Work(partial(self._reachability.survey, metadata, location, io))
        if self._last is not None:
            self._ledger.condemn(self._last.paths - survey.paths, "expired", self._clock())
        self._ledger.spare(survey.paths)
        self._last = survey
        self._done("survey")
        self._gauge(survey)
        return survey

    def _listing_due(self) -> bool:
        every_s = self._deletion.orphan_age_s / 24
        return self._listed_at is None or self._clock() - self._listed_at >= every_s

    def _list(self, survey: Survey) -> Generator[Wait, Any, None]:
        """Condemn what the store holds and nothing refers to; the survey that follows spares what was just committed."""
        self.doing = "list"
        before_ms = int(self._clock_ms() - self._deletion.orphan_age_s * 1000)
        files = list_files(self.table.metadata, self.table.io)
        work = Work(lambda: list(orphans(files, survey.names(), modified_before_ms=before_ms)))
        found: list[StoredFile] = yield work
        self._ledger.condemn((file.path for file in found), "orphan", self._clock())
        self._listed_at = self._clock()

    def _delete(self) -> Generator[Wait, Any, bool]:
        self.doing = "delete"
        for _ in range(_BATCHES_A_SURVEY):
            due = self._ledger.due(self._clock(), self._deletion.per_s)
            if not due:
                return False
            yield Work(partial(delete_files, list(due), self.table.io))
            self._ledger.strike(due)
            for kind, count in Counter(condemned.kind for condemned in due.values()).items():
                self._metrics.deleted_files.labels(self.table.name, kind).inc(count)
            self._metrics.condemned_files.labels(self.table.name).set(len(self._ledger))
            self._done("delete")
            yield Pause(1.0)
        return True

    def _plan(self, survey: Survey, metadata: TableMetadata, *, everything: bool) -> Plan:
        files = [file for file in survey.files if file.spec_id == metadata.default_spec_id]
        target = property_as_int(
            metadata.properties,
            TableProperties.WRITE_TARGET_FILE_SIZE_BYTES,
            TableProperties.WRITE_TARGET_FILE_SIZE_BYTES_DEFAULT,
        )
        return self._compaction.plan(
            files,
            self._quiet.observe(files, self._clock()),
            target_bytes=target or self._compaction.size_bytes,
            row_bytes=self._row_bytes,
            everything=everything,
        )

    def _compact(self, survey: Survey, plan: Plan) -> Generator[Wait, Any, None]:
        self.doing = "compact"
        written_at, backoff = self._clock(), Backoff(0.02, 10.0, self._rng)
        work = partial(compact, self.table.metadata, self.table.io, survey, plan.groups, self._event_time)
        compacted: Compacted = yield Work(work)
        self._row_bytes = compacted.row_bytes
        while self._clock() - written_at < self._deletion.orphan_age_s / 2:
            yield Between()
            try:
                self.table.replace(self.table.refresh(), compacted)
            except (ConflictError, UnknownOutcomeError, UnavailableError) as error:
                self._count("compact", _OUTCOMES[type(error)])
                yield Pause(backoff.next_s())
            except SourcesGoneError as error:
                _log.info("compacted files thrown away", table=self.table.name, reason=str(error))
                break
            else:
                self._replaced(compacted)
                return
        self._count("compact", "stale")

    def _replaced(self, compacted: Compacted) -> None:
        name = self.table.name
        self._metrics.compacted_files.labels(name).inc(len(compacted.sources))
        self._metrics.compacted_bytes.labels(name).inc(compacted.size_bytes)
        self._metrics.written_files.labels(name).inc(len(compacted.files))
        self._done("compact")
        _log.info("compacted", table=name, files=len(compacted.sources), into=len(compacted.files))

    def _done(self, kind: str) -> None:
        self._count(kind, "done")
        self._metrics.last_success_s.labels(self.table.name, kind).set(self._clock_ms() / 1000)

    def _count(self, kind: str, outcome: str) -> None:
        self._metrics.runs.labels(self.table.name, kind, outcome).inc()

    def _gauge(self, survey: Survey) -> None:
        name = self.table.name
        self._metrics.snapshots.labels(name).set(len(self.table.metadata.snapshots))
        self._metrics.manifests.labels(name).set(len(survey.head))
        self._metrics.live_files.labels(name).set(sum(map(len, survey.head.values())))
        self._metrics.condemned_files.labels(name).set(len(self._ledger))
