"""Files as they are in the store: listing them, and deleting those that nothing refers to."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final, NamedTuple

from pyarrow.fs import FileSelector, FileType
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table.locations import load_location_provider

from headgate_writer.maintenance.reachability import name_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from pyiceberg.io import FileIO
    from pyiceberg.table.metadata import TableMetadata

# What tables consist of; anything else in their folders was put there by somebody for a reason.
_KINDS: Final = (".parquet", ".orc", ".avro", ".metadata.json", ".puffin", ".stats")


class StoredFile(NamedTuple):
    """A file in the store.

    Attributes:
        path: Location, in the spelling of the table's own.
        size_bytes: Size.
        modified_ms: When it was last modified by the store's clock, milliseconds since the epoch.
    """

    path: str
    size_bytes: int
    modified_ms: int


def list_files(metadata: TableMetadata, io: FileIO) -> Iterator[StoredFile]:
    """List the files of a table's data and metadata folders, a folder at a time.

    Args:
        metadata: The table's metadata.
        io: Its store; what it is reached by is used, not the object.

    Raises:
        OSError: The store does not answer.
    """
    places = load_location_provider(metadata.location, metadata.properties)
    for root in dict.fromkeys((places.data_path, places.metadata_path)):
        yield from _list_below(root, PyArrowFileIO(io.properties))


def _list_below(root: str, io: PyArrowFileIO) -> Iterator[StoredFile]:
    scheme, netloc, base = io.parse_location(root, io.properties)
    store = io.fs_by_scheme(scheme, netloc)
    base = base.rstrip("/")
    folders = [base]
    while folders:
        for info in store.get_file_info(FileSelector(folders.pop(), allow_not_found=True)):
            if info.type is FileType.Directory:
                folders.append(info.path)
            elif info.type is FileType.File and info.path.endswith(_KINDS):
                modified = info.mtime if info.mtime.tzinfo else info.mtime.replace(tzinfo=UTC)
                yield StoredFile(root + info.path[len(base) :], info.size, int(modified.timestamp() * 1000))


def orphans(files: Iterable[StoredFile], names: Collection[str], *, modified_before_ms: int) -> Iterator[StoredFile]:
    """Yield files that nothing refers to and that are too old to be part of a commit that may still land.

    List the files first and look at the table afterwards: what was committed in between is then referred to.

    Args:
        files: Files of the table's folders.
        names: Names of everything reachable, as :meth:`Survey.names` gives them.
        modified_before_ms: Milliseconds since the epoch; what was modified later is left alone.
    """
    for file in files:
        if file.modified_ms < modified_before_ms and name_of(file.path) not in names:
            yield file


def delete_files(paths: Iterable[str], io: FileIO) -> int:
    """Delete files and return how many were there.

    Raises:
        OSError: The store does not answer, or does not allow it; some may be deleted.
    """
    deleted = 0
    for path in paths:
        try:
            io.delete(path)
        except FileNotFoundError:  # another replica was here before
            continue
        deleted += 1
    return deleted
