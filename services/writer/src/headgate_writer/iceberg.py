"""The Iceberg side of the writer: reading a table's head, writing data files, and the commit itself."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.errors import UnavailableError
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationException
from pyiceberg.manifest import DataFile as IcebergFile
from pyiceberg.manifest import ManifestContent
from pyiceberg.table import Transaction
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.update import AssertRefSnapshotId, AssertTableUUID

from headgate_writer.errors import (
    Acceptance,
    ConflictError,
    NotStorableError,
    SourcesGoneError,
    UnknownOutcomeError,
    UnsafeToWriteError,
)
from headgate_writer.maintenance.replacing import ReplaceFiles
from headgate_writer.parquet import DataFileWriter
from headgate_writer.positions import PROPERTY, Positions, positions_of
from headgate_writer.table import Head, Written
from headgate_writer.widening import widen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from pyiceberg.io import FileIO
    from pyiceberg.table import Table as PyIcebergTable
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update import TableUpdate, UpdatesAndRequirements

    from headgate_writer.maintenance.compaction import Compacted
    from headgate_writer.maintenance.retention import Retention

_log = structlog.get_logger()

# Replicas that meet a new version at once widen the same table; the loser sees the winner's work the second time.
_ATTEMPTS = 5


class _Unstaged(Transaction):
    """A transaction that stages nothing, so that its metadata is the table's.

    pyiceberg copies all of it, each snapshot, whenever it is asked for: a dozen times a commit, and most of its time.
    """

    @property
    def table_metadata(self) -> TableMetadata:
        """The table's metadata; nobody changes it in place."""
        return self._table.metadata


class IcebergTable:
    """A :class:`headgate_writer.table.Table` over pyiceberg.

    Neither pyiceberg's retry nor its clean-up takes part in a commit: the retry would replay an offset map that has
    become stale, and the clean-up deletes files after a refusal that a lost answer can hide a success behind.
    """

    def __init__(
        self,
        table: PyIcebergTable,
        retention: Retention | None,
        *,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Wrap a table.

        Args:
            table: The table, opened.
            retention: Which snapshots stay; None leaves all of that to somebody else.
            clock_ms: Milliseconds since the epoch.
        """
        self._table = table
        self._files = DataFileWriter()
        self._retention = retention
        self._clock_ms = clock_ms

    @property
    def name(self) -> str:
        """Name with namespace."""
        return ".".join(self._table.name())

    @property
    def location(self) -> str:
        """Where its files are."""
        return self._table.location()

    @property
    def metadata(self) -> TableMetadata:
        """The table's metadata as of the last refresh or commit; it is never changed in place."""
        return self._table.metadata

    @property
    def metadata_location(self) -> str:
        """Location of that metadata's own file."""
        return self._table.metadata_location

    @property
    def io(self) -> FileIO:
        """The table's store."""
        return self._table.io

    def refresh(self) -> Head:
        """Read the head from the catalog; see the protocol for errors."""
        before, accept = self._table.metadata.table_uuid, Acceptance("table", self.name)
        try:
            fresh = self._table.catalog.load_table(self._table.name())
        except NoSuchTableError as error:
            raise UnsafeToWriteError(
                f"table {self.name} was dropped while it was written to. Restore it; or, to create it anew and store its "
                f"topics again from their starts, accept it: {accept}",
                accept,
            ) from error
        except Exception as error:  # each catalog client raises errors of its own
            raise UnavailableError(f"the catalog does not answer for {self.name}: {error!r}") from error
        if fresh.metadata.table_uuid != before:
            raise UnsafeToWriteError(
                f"table {self.name} was replaced by another of the same name (uuid {fresh.metadata.table_uuid}, was "
                f"{before}). To go on into the new one from the positions stored there, accept it: {accept}",
                accept,
            )
        self._table = fresh
        return self._head()

    def widen(self, schema: pa.Schema) -> None:
        """Give the table the columns it lacks; see the protocol for errors."""
        for _ in range(_ATTEMPTS):
            self.refresh()
            try:
                return widen(self._table, schema)
            except NotStorableError:
                raise
            except CommitFailedException as error:
                _log.info("table changed while it was widened", table=self.name, error=str(error))
            except Exception as error:  # it may have landed: the next look tells
                raise UnavailableError(f"the catalog does not answer for {self.name}: {error!r}") from error
        raise UnavailableError(f"{self.name}: others keep changing the table")

    def write(self, rows: pa.Table) -> Written:
        """Write rows to Parquet, one file a partition or more; see the protocol for errors."""
        try:
            files = tuple(self._files.write(self._table, rows))
        except OSError as error:
            raise UnavailableError(_untaken(self.name, error)) from error
        return Written(files, sum(file.file_size_in_bytes for file in files))

    def commit(self, head: Head, written: Written, positions: Positions) -> Head:
        """Append files and map; see the protocol for errors."""
        if head.snapshot_id != _snapshot_id(self._table):
            raise ConflictError(f"{self.name} was refreshed since snapshot {head.snapshot_id}")
        self._land(self._append(written.files, positions))
        return self._head()

    def replace(self, head: Head, compacted: Compacted) -> Head:
        """Put compacted files in the place of their sources; rows and positions stay as they are.

        Returns:
            The new head.

        Raises:
            SourcesGoneError: A source is no longer live, or more than its own rows would come back.
            UnavailableError: The store does not take manifests; nothing was sent.
            ConflictError: ``head`` is no longer the head; the same files may be offered again.
            UnknownOutcomeError: No answer; it may have landed, and then its sources are gone.
        """
        if head.snapshot_id != _snapshot_id(self._table) or head.positions is None:
            raise ConflictError(f"{self.name} was refreshed since snapshot {head.snapshot_id}")
        if head.layout != compacted.layout:
            raise SourcesGoneError(f"{self.name} has another schema or partitioning than its compacted files")
        properties = {PROPERTY: head.positions.dump()}
        update = ReplaceFiles(_Unstaged(self._table), self._table.io, compacted, properties)
        try:
            self._require_no_row_deletes()
            changes = update._commit()  # noqa: SLF001 - see the class
        except ValidationException as error:
            raise SourcesGoneError(str(error)) from error
        except OSError as error:
            raise UnavailableError(_untaken(self.name, error)) from error
        self._land(changes)
        return self._head()

    def expire(self, head: Head) -> bool:
        """Commit what retention asks for on its own, where no other commit has taken it along; tell whether it did.

        Raises:
            ConflictError: ``head`` is no longer the head.
            UnknownOutcomeError: No answer; looking again tells what is still due.
        """
        if head.snapshot_id is None or not self._retained():
            return False
        self._land(((), (AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=head.snapshot_id),)))
        return True

    def _append(self, files: Sequence[object], positions: Positions) -> UpdatesAndRequirements:
        """Write manifests for the files; nothing of it is the table's before the commit is sent."""
        update = _Unstaged(self._table).update_snapshot(snapshot_properties={PROPERTY: positions.dump()})
        append = update.merge_append()
        for file in files:
            if not isinstance(file, IcebergFile):
                raise TypeError(f"not a file of {self.name}: {file!r}")
            append.append_data_file(file)
        try:
            # The producer's own commit() would go through the library's retry and clean-up (see the class).
            return append._commit()  # noqa: SLF001 - see above
        except OSError as error:
            raise UnavailableError(_untaken(self.name, error)) from error

    def _land(self, changes: UpdatesAndRequirements) -> None:
        """Send changes, and with them what retention asks for."""
        updates, requirements = changes
        same_table = AssertTableUUID(uuid=self._table.metadata.table_uuid)
        updates = (*updates, *self._retained())
        self._sent(lambda: self._table._do_commit(updates, (*requirements, same_table)))  # noqa: SLF001 - see the class

    def _retained(self) -> tuple[TableUpdate, ...]:
        return self._retention.updates(self._table.metadata, self._clock_ms()) if self._retention else ()

    def _require_no_row_deletes(self) -> None:
        snapshot = self._table.current_snapshot()
        for manifest in snapshot.manifests(self._table.io) if snapshot else ():
            if manifest.content is not ManifestContent.DATA:
                raise SourcesGoneError(f"{self.name} has row-level deletes, which may apply to the compacted rows")

    def _sent(self, commit: Callable[[], None]) -> None:
        try:
            commit()
        except CommitFailedException as error:
            raise ConflictError(str(error)) from error
        except Exception as error:  # whatever it was, the catalog may have taken the commit
            raise UnknownOutcomeError(f"commit to {self.name}: {error!r}") from error

    def _head(self) -> Head:
        metadata = self._table.metadata
        layout = (metadata.current_schema_id, metadata.default_spec_id)
        return Head(_snapshot_id(self._table), positions_of(_lineage(self._table)), layout)


def _untaken(name: str, error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"the disk that holds {name} is full: free space on it, or make it larger ({error})"
    return f"the store does not take files of {name}: {error!r}"


def _snapshot_id(table: PyIcebergTable) -> int | None:
    snapshot = table.current_snapshot()
    return snapshot.snapshot_id if snapshot else None


def _lineage(table: PyIcebergTable) -> Iterator[Mapping[str, str]]:
    """Yield the summary properties of the head snapshot, its parent, and so on until one has expired."""
    snapshot = table.current_snapshot()
    while snapshot is not None:
        yield snapshot.summary.additional_properties if snapshot.summary else {}
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
