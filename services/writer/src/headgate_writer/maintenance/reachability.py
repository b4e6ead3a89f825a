"""What a table's metadata refers to: every file that a reader of any kept snapshot may open.

Needs a table's metadata and its store, and neither a catalog nor a running writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pyiceberg.manifest import ManifestContent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestEntry, ManifestFile
    from pyiceberg.table.metadata import TableMetadata


class LiveFile(NamedTuple):
    """A data or delete file that a manifest holds.

    Attributes:
        path: Location.
        size_bytes: Size in the store.
        rows: Its records.
        spec_id: Partition spec it was written for.
        partition: Its values, in the spec's order.
        sequence_number: Data sequence number.
    """

    path: str
    size_bytes: int
    rows: int
    spec_id: int
    partition: tuple[Any, ...]
    sequence_number: int


@dataclass(frozen=True, slots=True)
class Survey:
    """A table's files as of one version of its metadata.

    Attributes:
        paths: Locations of everything reachable: metadata, lists, manifests, data, deletes, statistics.
        head: Live files of the head snapshot by the manifest that holds them.
        row_deletes: Whether the head has row-level deletes.
    """

    paths: frozenset[str]
    head: Mapping[ManifestFile, tuple[LiveFile, ...]]
    row_deletes: bool

    @property
    def files(self) -> list[LiveFile]:
        """The head's live files."""
        return [file for files in self.head.values() for file in files]

    def names(self) -> frozenset[str]:
        """Return the names of everything reachable, without their folders.

        Names hold a UUID, so they tell files apart as well as locations do, and they are the same however a location
        is spelled (``s3`` or ``s3a``, through a link or not).
        """
        return frozenset(name_of(path) for path in self.paths)


def name_of(path: str) -> str:
    """Return a location's last part."""
    return path.rpartition("/")[2]


class Reachability:
    """Surveys one table again and again; keeps what it has read, because manifests never change. Not thread-safe."""

    def __init__(self) -> None:
        self._lists: dict[str, tuple[ManifestFile, ...]] = {}
        self._files: dict[str, tuple[LiveFile, ...]] = {}

    def survey(self, metadata: TableMetadata, location: str, io: FileIO) -> Survey:
        """Find everything that is reachable.

        Args:
            metadata: The table's metadata.
            location: Location of the metadata's own file.
            io: The table's store.

        Raises:
            OSError: The store does not answer, or a snapshot of this metadata has expired and its files are gone.
        """
        snapshots = {each.manifest_list: each for each in metadata.snapshots}
        lists, files = self._lists, self._files
        self._lists = {path: lists.get(path) or tuple(each.manifests(io)) for path, each in snapshots.items()}
        manifests = {each.manifest_path: each for listed in self._lists.values() for each in listed}
        self._files = {path: files[path] if path in files else _live(each, io) for path, each in manifests.items()}
        paths = {location, *_metadata_files(metadata), *snapshots, *manifests}
        paths.update(file.path for files in self._files.values() for file in files)
        head = metadata.current_snapshot()
        listed = self._lists[head.manifest_list] if head else ()
        return Survey(
            frozenset(paths),
            {each: self._files[each.manifest_path] for each in listed if each.content is ManifestContent.DATA},
            any(each.content is not ManifestContent.DATA for each in listed),
        )


def _metadata_files(metadata: TableMetadata) -> Iterable[str]:
    yield from (entry.metadata_file for entry in metadata.metadata_log)
    yield from (each.statistics_path for each in metadata.statistics)
    yield from (each.statistics_path for each in metadata.partition_statistics)


def _live(manifest: ManifestFile, io: FileIO) -> tuple[LiveFile, ...]:
    return tuple(live_file(entry) for entry in manifest.fetch_manifest_entry(io, discard_deleted=True))


def live_file(entry: ManifestEntry) -> LiveFile:
    """Return the few things about a manifest's entry that maintenance plans with."""
    file = entry.data_file
    partition = tuple(file.partition[place] for place in range(len(file.partition)))
    sequence_number = entry.sequence_number or 0
    return LiveFile(
        file.file_path, file.file_size_in_bytes, file.record_count, file.spec_id, partition, sequence_number
    )
