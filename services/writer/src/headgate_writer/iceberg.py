"""The Iceberg side of the writer: reading a table's head, writing data files, and the commit itself."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.errors import UnavailableError
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.manifest import DataFile as IcebergFile
from pyiceberg.table.update import AssertTableUUID, RemoveSnapshotsUpdate

from headgate_writer.errors import Acceptance, ConflictError, NotStorableError, UnknownOutcomeError, UnsafeToWriteError
from headgate_writer.parquet import DataFileWriter
from headgate_writer.positions import PROPERTY, Positions, positions_of
from headgate_writer.table import Head, Written
from headgate_writer.widening import widen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from pyiceberg.table import Table as PyIcebergTable
    from pyiceberg.table.update import UpdatesAndRequirements

_log = structlog.get_logger()

# Replicas that meet a new version at once widen the same table; the loser sees the winner's work the second time.
_ATTEMPTS = 5


class IcebergTable:
    """A :class:`headgate_writer.table.Table` over pyiceberg.

    Neither pyiceberg's retry nor its clean-up takes part in a commit: the retry would replay an offset map that has
    become stale, and the clean-up deletes files after a refusal that a lost answer can hide a success behind.
    """

    def __init__(self, table: PyIcebergTable, keep_snapshots: int) -> None:
        """Wrap a table.

        Args:
            table: The table, opened.
            keep_snapshots: Snapshots that stay readable, branches' and tags' apart; the metadata, and with it the
                time of a commit, would grow with every one that is kept. Files are not deleted.
        """
        self._table = table
        self._keep_snapshots = keep_snapshots
        self._files = DataFileWriter()

    @property
    def name(self) -> str:
        """Name with namespace."""
        return ".".join(self._table.name())

    @property
    def location(self) -> str:
        """Where its files are."""
        return self._table.location()

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
        updates, requirements = self._append(written.files, positions)
        self._sent(lambda: self._table._do_commit(updates, requirements))  # noqa: SLF001 - see the class
        return self._head()

    def _append(self, files: Sequence[object], positions: Positions) -> UpdatesAndRequirements:
        """Write manifests for the files; nothing of it is the table's before the commit is sent."""
        table = self._table
        update = table.transaction().update_snapshot(snapshot_properties={PROPERTY: positions.dump()})
        append = update.merge_append()
        for file in files:
            if not isinstance(file, IcebergFile):
                raise TypeError(f"not a file of {self.name}: {file!r}")
            append.append_data_file(file)
        try:
            # The producer's own commit() would go through the library's retry and clean-up (see the class).
            updates, requirements = append._commit()  # noqa: SLF001 - see above
        except OSError as error:
            raise UnavailableError(_untaken(self.name, error)) from error
        if expired := self._expired():
            updates = (*updates, RemoveSnapshotsUpdate(snapshot_ids=expired))
        return updates, (*requirements, AssertTableUUID(uuid=table.metadata.table_uuid))

    def _expired(self) -> list[int]:
        """Return the oldest snapshots beyond those to keep, a quarter of that number at a time."""
        snapshots = sorted(self._table.metadata.snapshots, key=lambda each: each.sequence_number or 0)
        if len(snapshots) < self._keep_snapshots * 1.25:
            return []
        named = {ref.snapshot_id for ref in self._table.metadata.refs.values()}
        return [each.snapshot_id for each in snapshots[: -self._keep_snapshots] if each.snapshot_id not in named]

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
