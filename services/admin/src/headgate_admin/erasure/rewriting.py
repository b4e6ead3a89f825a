"""Takes a person's rows out of a table by copy-on-write, and the snapshots that held them out of its history.

One compare and swap puts files without the rows in the place of those with them, carries the writer's offset map, and
expires every earlier snapshot that still refers to the rows: a reader never sees one without the other. Writers go on
meanwhile. Who loses the race looks again and offers the same files, as long as nobody has replaced their sources.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc
from headgate_runtime.errors import RejectedError, UnavailableError
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan, _dataframe_to_data_files
from pyiceberg.table import FileScanTask, Transaction
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    AssertTableUUID,
    RemoveSnapshotRefUpdate,
    RemoveSnapshotsUpdate,
)
from pyiceberg.table.update.snapshot import _OverwriteFiles

from headgate_admin.tables.positions import PROPERTY, ancestry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyiceberg.manifest import DataFile, ManifestEntry
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update import TableRequirement, TableUpdate

    from headgate_admin.erasure.search import Holders, Search

_FIRST_WAIT_S: Final = 0.02
_LONGEST_WAIT_S: Final = 1.0


@dataclass(slots=True)
class Erased:
    """What was done to a table.

    Attributes:
        rows: Rows taken out.
        files: Files written anew, or left out where nothing else was in them.
        snapshots: Snapshots expired.
        tags: Tags that named one of them.
        conflicts: Times somebody else was faster.
        deleted_files: Files deleted from the store.
    """

    rows: int = 0
    files: int = 0
    snapshots: int = 0
    tags: tuple[str, ...] = ()
    conflicts: int = 0
    deleted_files: int = 0


class Eraser:
    """Erases a person from one table.

    Args:
        load: Loads the table as it stands now.
        search: Finds the person's rows in it.
        timeout_s: How long writers may be faster.
    """

    def __init__(self, load: Callable[[], Table], search: Search, *, timeout_s: float = 300.0) -> None:
        self._load = load
        self._search = search
        self._timeout_s = timeout_s
        self._rewritten: dict[str, Sequence[DataFile]] = {}
        self._gone: set[str] = set()

    def run(self) -> Erased:
        """Erase, until a look at the table finds nothing.

        Raises:
            RejectedError: A branch holds the rows, no offset map holds, or what was written is not what was read.
            UnavailableError: Catalog or store do not answer, or others were faster all the time; run it again.
        """
        erased, deadline, wait_s = Erased(), time.monotonic() + self._timeout_s, _FIRST_WAIT_S
        while True:
            table = self._load()
            found = self._search.run(table)
            if not found.snapshots:
                erased.deleted_files = _delete(table, self._gone - found.reachable)
                return erased
            self._gone.update(*(found.paths[each] for each in found.snapshots))
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{_name(table)}: others keep changing the table; pause its writers and run it again"
                )
            # Rewriting takes long, so writers have committed meanwhile: another look comes first.
            if self._rewrite(table, found) or self._attempt(table, found, erased):
                continue
            erased.conflicts += 1
            time.sleep(random.uniform(wait_s / 2, wait_s))  # noqa: S311 - jitter
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _rewrite(self, table: Table, found: Holders) -> bool:
        """Write what is not written anew yet; True where there was any."""
        new = [path for path in found.live if path not in self._rewritten]
        for path in new:
            self._rewritten[path] = self._without(table, *found.live[path])
        return bool(new)

    def _attempt(self, table: Table, found: Holders, erased: Erased) -> bool:
        """Commit once; False where somebody else was faster.

        Raises:
            UnavailableError: The catalog failed, and the commit has not landed.
        """
        tags = _tags(table, found)
        updates, requirements = self._changes(table, found, tags)
        try:
            table.catalog.commit_table(table, requirements, updates)
        except CommitFailedException:
            return False
        except Exception as error:  # whatever it was, the catalog may have taken the commit
            now = self._load()
            if any(now.snapshot_by_id(each) for each in found.snapshots):
                raise UnavailableError(f"the catalog fails for {_name(table)}, run it again: {error!r}") from error
        erased.rows += found.rows
        erased.files += len(found.live)
        erased.snapshots += len(found.snapshots)
        erased.tags += tags
        return True

    def _changes(
        self, table: Table, found: Holders, tags: Sequence[str]
    ) -> tuple[tuple[TableUpdate, ...], tuple[TableRequirement, ...]]:
        updates: tuple[TableUpdate, ...] = ()
        requirements: tuple[TableRequirement, ...] = (AssertTableUUID(uuid=table.metadata.table_uuid),)
        head = table.metadata.current_snapshot_id
        if found.live:
            update = _LeaveOut(Operation.OVERWRITE, _Unstaged(table), table.io, snapshot_properties=_positions(table))
            for path, (file, _) in found.live.items():
                update.delete_data_file(file)
                for kept in self._rewritten[path]:
                    update.append_data_file(kept)
            try:
                # The library's own commit would retry with an offset map that has become stale, and clean files up.
                updates, own = update._commit()  # noqa: SLF001 - see above
            except ValidationException as error:
                raise RejectedError(f"{_name(table)} is not as it was read: {error}") from error
            requirements += tuple(own)
        else:
            requirements += (AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=head),)
        drops = tuple(RemoveSnapshotRefUpdate(ref_name=tag) for tag in tags)
        return (*updates, *drops, RemoveSnapshotsUpdate(snapshot_ids=sorted(found.snapshots))), requirements

    def _without(self, table: Table, file: DataFile, count: int) -> Sequence[DataFile]:
        """Write a file's other rows; the memory taken is that of one file."""
        try:
            rows = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue()).to_table([FileScanTask(file)])
            kept = rows.filter(pc.invert(self._search.mask(rows)))
            written = list(_dataframe_to_data_files(table.metadata, kept, table.io)) if kept.num_rows else []
        except OSError as error:
            raise UnavailableError(f"the store does not give or take files of {_name(table)}: {error!r}") from error
        if sum(each.record_count for each in written) != file.record_count - count:
            raise RejectedError(f"{file.file_path} was not written anew with the rows it should have: not committed")
        return written


class _Unstaged(Transaction):
    """A transaction that stages nothing, so that its metadata is the table's: the library copies it again and again."""

    @property
    def table_metadata(self) -> TableMetadata:
        """The table's metadata; nobody changes it in place."""
        return self._table.metadata


class _LeaveOut(_OverwriteFiles):
    """pyiceberg's overwrite without entries for the files that went: they hold bounds, which may be the person's key."""

    def _deleted_entries(self) -> list[ManifestEntry]:
        super()._deleted_entries()  # refuses where a file is no longer live
        return []


def _tags(table: Table, found: Holders) -> tuple[str, ...]:
    """The tags on snapshots that have to go.

    Raises:
        RejectedError: A branch is on one.
    """
    named = {name: ref for name, ref in table.metadata.refs.items() if ref.snapshot_id in found.snapshots}
    branches = sorted(
        name for name, ref in named.items() if name != MAIN_BRANCH and ref.snapshot_ref_type is SnapshotRefType.BRANCH
    )
    if branches:
        raise RejectedError(
            f"{_name(table)}: branch {', '.join(branches)} holds the rows; drop it, or erase them there."
        )
    return tuple(sorted(name for name in named if name != MAIN_BRANCH))


def _positions(table: Table) -> dict[str, str]:
    for snapshot in ancestry(table.metadata, table.current_snapshot()):
        text = snapshot.summary.additional_properties.get(PROPERTY) if snapshot.summary else None
        if text:
            return {PROPERTY: text}
    raise RejectedError(
        f"{_name(table)}: no snapshot carries {PROPERTY}, so a writer would not know from where to go on: it is parked "
        "already, or the table is another engine's."
    )


def _delete(table: Table, paths: set[str]) -> int:
    """Delete files that no snapshot refers to any more; those another has deleted do not count."""
    deleted = 0
    for path in sorted(paths):
        try:
            table.io.delete(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UnavailableError(
                f"the store does not delete {path}: run it again, or let maintenance ({error!r})"
            ) from error
        deleted += 1
    return deleted


def _name(table: Table) -> str:
    return ".".join(table.name())
