"""The snapshot that puts compacted files in the place of their sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyiceberg.manifest import ManifestEntry, ManifestEntryStatus
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update.snapshot import _OverwriteFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Transaction

    from headgate_writer.maintenance.compaction import Compacted


class ReplaceFiles(_OverwriteFiles):
    """pyiceberg's overwrite, as the operation ``replace``: other files, the same rows.

    Three things differ. Readers of changes pass a ``replace`` over. Each new file has the data sequence number of its
    latest source, so that row-level deletes committed later apply to it as they would to the sources. And manifests
    that are known to hold none of the sources are not read.
    """

    def __init__(
        self, transaction: Transaction, io: FileIO, compacted: Compacted, snapshot_properties: Mapping[str, str]
    ) -> None:
        super().__init__(Operation.OVERWRITE, transaction, io, snapshot_properties=dict(snapshot_properties))
        self._compacted = compacted
        for source in compacted.sources:
            self.delete_data_file(source.data_file)
        for file in compacted.files:
            self.append_data_file(file.data_file)

    def _manifests(self) -> list[ManifestFile]:
        added, self._added_data_files = self._added_data_files, []
        others = super()._manifests()
        self._added_data_files = added
        with self.new_manifest_writer(self._transaction.table_metadata.spec()) as writer:
            for file in self._compacted.files:
                writer.add(
                    ManifestEntry.from_args(
                        status=ManifestEntryStatus.ADDED,
                        snapshot_id=self._snapshot_id,
                        sequence_number=file.sequence_number,
                        file_sequence_number=None,
                        data_file=file.data_file,
                    )
                )
        return [writer.to_manifest_file(), *others]

    def _summary(self, snapshot_properties: Mapping[str, str] | None = None) -> Summary:
        summary = super()._summary(dict(snapshot_properties or {}))
        return Summary(Operation.REPLACE, **summary.additional_properties)

    def _build_delete_files_partition_predicate(self) -> None:
        """Leave the predicate alone: manifests are chosen by what is in them."""

    def _build_manifest_evaluator(self, spec_id: int) -> Callable[[ManifestFile], bool]:  # noqa: ARG002 - inherited
        return lambda manifest: manifest.manifest_path not in self._compacted.without
