"""Which files and snapshots of a table hold a person's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from headgate_runtime.errors import RejectedError, UnavailableError
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import ManifestContent
from pyiceberg.table import FileScanTask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile, ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class Holders:
    """What holds a person's rows.

    Attributes:
        live: Files of the head, each with how many rows of the person it holds.
        snapshots: Snapshots with such a file, the head too.
        paths: Everything that the table's snapshots refer to, by snapshot: lists, manifests, data.
    """

    live: Mapping[str, tuple[DataFile, int]]
    snapshots: frozenset[int]
    paths: Mapping[int, frozenset[str]]

    @property
    def rows(self) -> int:
        """The person's rows in the head."""
        return sum(count for _, count in self.live.values())

    @property
    def reachable(self) -> frozenset[str]:
        """Everything that any snapshot refers to."""
        return frozenset().union(*self.paths.values())


class Search:
    """Looks a person up in one table, again and again: what it has read it knows, for files never change.

    Args:
        column: Dotted path of the column with the person's key.
        value: What the column holds of it.
    """

    def __init__(self, column: str, value: str) -> None:
        self.column = column
        self._value = value
        self._lists: dict[str, list[ManifestFile]] = {}
        self._manifests: dict[str, list[DataFile]] = {}
        self._rows: dict[str, int] = {}

    def run(self, table: Table) -> Holders:
        """Look at every snapshot that is there.

        Raises:
            RejectedError: Another engine has left row-level deletes in the head, or the table lacks the column.
            UnavailableError: The store does not answer, or has lost a file.
        """
        try:
            return self._run(table)
        except OSError as error:
            raise UnavailableError(f"the store does not give all of {'.'.join(table.name())}: {error!r}") from error

    def mask(self, rows: pa.Table | pa.RecordBatch) -> pa.ChunkedArray | pa.Array:
        """Which rows are the person's; never null."""
        top, *inner = self.column.split(".")
        column = rows.column(top)
        values = pc.struct_field(column, inner) if inner else column
        wanted = self._value.encode() if _is_binary(values.type) else self._value
        return pc.fill_null(pc.equal(values, pa.scalar(wanted, values.type)), fill_value=False)

    def _run(self, table: Table) -> Holders:
        live: dict[str, tuple[DataFile, int]] = {}
        holding: set[int] = set()
        paths: dict[int, frozenset[str]] = {}
        head = table.current_snapshot()
        for snapshot in table.metadata.snapshots:
            manifests = self._manifests_of(snapshot, table.io)
            is_head = head is not None and snapshot.snapshot_id == head.snapshot_id
            if is_head and any(each.content is not ManifestContent.DATA for each in manifests):
                raise RejectedError(
                    f"{'.'.join(table.name())} has row-level deletes, which are another engine's: let it rewrite the "
                    "files they are about, then run this again."
                )
            files = [file for manifest in manifests for file in self._files(manifest, table.io)]
            found = {file.file_path: (file, count) for file in files if (count := self._count(table, file))}
            if found:
                holding.add(snapshot.snapshot_id)
            if is_head:
                live = found
            names = (snapshot.manifest_list, *(each.manifest_path for each in manifests))
            paths[snapshot.snapshot_id] = frozenset((*names, *(file.file_path for file in files)))
        return Holders(live, frozenset(holding), paths)

    def _manifests_of(self, snapshot: Snapshot, io: FileIO) -> list[ManifestFile]:
        known = self._lists.get(snapshot.manifest_list)
        if known is None:
            known = self._lists[snapshot.manifest_list] = snapshot.manifests(io)
        return known

    def _files(self, manifest: ManifestFile, io: FileIO) -> list[DataFile]:
        known = self._manifests.get(manifest.manifest_path)
        if known is None:
            entries = manifest.fetch_manifest_entry(io, discard_deleted=True)
            known = self._manifests[manifest.manifest_path] = [entry.data_file for entry in entries]
        return known

    def _count(self, table: Table, file: DataFile) -> int:
        known = self._rows.get(file.file_path)
        if known is None:
            known = self._rows[file.file_path] = sum(
                pc.sum(self.mask(rows)).as_py() or 0 for rows in self._read(table, file)
            )
        return known

    def _read(self, table: Table, file: DataFile) -> list[pa.RecordBatch]:
        try:
            projected = table.scan(selected_fields=(self.column,)).projection()
        except ValueError as error:
            raise RejectedError(f"{'.'.join(table.name())} has no column {self.column}: {error}") from error
        return list(
            ArrowScan(table.metadata, table.io, projected, AlwaysTrue()).to_record_batches([FileScanTask(file)])
        )


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
