"""The files of a table: which of them its metadata refers to, which are there, and the difference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the store.

    Attributes:
        size_bytes: Its size.
        modified_ms: When it was written, milliseconds since the epoch.
    """

    size_bytes: int
    modified_ms: int


@dataclass(frozen=True, slots=True)
class References:
    """Files that a table's metadata refers to.

    Attributes:
        head: Paths of the head's data and delete files.
        kept: Location by path of the data and delete files of every snapshot that has not expired.
        every: Paths of files of every kind, of all of these.
    """

    head: frozenset[str]
    kept: Mapping[str, str]
    every: frozenset[str]


@dataclass(frozen=True, slots=True)
class Files:
    """What is there and what is not.

    Attributes:
        head: Data and delete files of the head.
        missing: Those of every snapshot that has not expired that are not in the store.
        orphans: Files below the table's location that nothing refers to.
        orphan_bytes: Their size.
        oldest_orphan_s: Age of the oldest, seconds; None where there is none.
    """

    head: int
    missing: list[str] = field(default_factory=list)
    orphans: int = 0
    orphan_bytes: int = 0
    oldest_orphan_s: float | None = None

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        return {
            "head": self.head,
            "missing": self.missing,
            "orphans": self.orphans,
            "orphan_bytes": self.orphan_bytes,
            "oldest_orphan_s": self.oldest_orphan_s,
        }


def compare(
    references: References, stored: Mapping[str, StoredFile], exists: Callable[[str], bool], *, now_ms: int
) -> Files:
    """Hold what is referred to against what is there.

    Args:
        references: What the metadata refers to.
        stored: What is below the table's location, by path.
        exists: Asks the store for a location that is elsewhere.
        now_ms: Milliseconds since the epoch.
    """
    orphans = [file for path, file in stored.items() if path not in references.every]
    return Files(
        head=len(references.head),
        missing=sorted(
            location for path, location in references.kept.items() if path not in stored and not exists(location)
        ),
        orphans=len(orphans),
        orphan_bytes=sum(file.size_bytes for file in orphans),
        oldest_orphan_s=max(((now_ms - file.modified_ms) / 1000 for file in orphans), default=None),
    )


def check_files(table: Table, *, now_ms: int) -> Files:
    """Hold a table's metadata against its store; young orphans may be of a commit that is on its way.

    Raises:
        ConfigurationError: The store cannot be listed.
        RejectedError: A file of the metadata is not there.
        UnavailableError: The store does not answer.
    """

    def exists(location: str) -> bool:
        return table.io.new_input(location).exists()

    try:
        return compare(_references(table), _stored(table), exists, now_ms=now_ms)
    except FileNotFoundError as error:
        raise RejectedError(f"{'.'.join(table.name())} cannot be read, its metadata is not whole: {error}") from error
    except OSError as error:
        raise UnavailableError(f"the store does not answer for {'.'.join(table.name())}: {error!r}") from error


def _references(table: Table) -> References:
    metadata, io = table.metadata, table.io
    manifests = {each.manifest_path: each for snapshot in metadata.snapshots for each in snapshot.manifests(io)}
    content = {path: _content(table, manifest) for path, manifest in manifests.items()}
    kept = {path: location for files in content.values() for path, location in files.items()}
    current = table.current_snapshot()
    head = [path for each in (current.manifests(io) if current else []) for path in content[each.manifest_path]]
    other = {table.metadata_location, *(entry.metadata_file for entry in metadata.metadata_log), *manifests}
    other |= {snapshot.manifest_list for snapshot in metadata.snapshots}
    other |= {file.statistics_path for file in (*metadata.statistics, *metadata.partition_statistics)}
    return References(frozenset(head), kept, frozenset(map(_path, other)).union(kept))


def _content(table: Table, manifest: ManifestFile) -> dict[str, str]:
    locations = [entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io)]
    return {_path(location): location for location in locations}


def _stored(table: Table) -> dict[str, StoredFile]:
    from pyarrow import fs  # noqa: PLC0415 - heavy
    from pyiceberg.io.pyarrow import PyArrowFileIO  # noqa: PLC0415 - heavy

    if not isinstance(table.io, PyArrowFileIO):
        raise ConfigurationError(
            'only pyarrow lists the store: add "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO" to the catalog'
        )
    scheme, host, path = PyArrowFileIO.parse_location(table.location(), table.io.properties)
    store = table.io.fs_by_scheme(scheme, host)
    listed = store.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    return {
        each.path: StoredFile(each.size, (each.mtime_ns or 0) // 1_000_000)
        for each in listed
        if each.type == fs.FileType.File
    }


def _path(location: str) -> str:
    """A file's name within its store, as a listing has it."""
    from pyiceberg.io.pyarrow import PyArrowFileIO  # noqa: PLC0415 - heavy

    return PyArrowFileIO.parse_location(location)[2]
