"""Where states go that memory has no room for: one SQLite file a partition, which lives no longer than its process."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headgate_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CACHE_KIB: Final = 2_048


class Spill:
    """Keys and values on disk. The file is made at the first write, and is rebuilt from the changelog, never reopened.

    Args:
        folder: Where the file is made; None takes the system's folder for temporary files.
        name: Start of the file's name.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self._folder = folder
        self._name = name
        self._path: Path | None = None
        self._database: sqlite3.Connection | None = None
        self._keys = 0

    def __len__(self) -> int:
        """Keys on disk."""
        return self._keys

    def write(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Put keys that are not there.

        Raises:
            UnavailableError: The file cannot be written; the text names the folder.
        """
        with self._explained():
            database = self._database or self._create()
            database.execute("BEGIN")
            database.executemany("INSERT INTO state VALUES (?, ?)", rows)
            database.execute("COMMIT")
        self._keys += len(rows)

    def take(self, key: bytes) -> bytes | None:
        """Remove a key and return its value; None where it is not there; raises as ``write``."""
        if not self._keys or self._database is None:
            return None
        with self._explained():
            found = self._database.execute("DELETE FROM state WHERE key = ? RETURNING value", (key,)).fetchone()
        if found is None:
            return None
        self._keys -= 1
        value: bytes = found[0]
        return value

    def close(self) -> None:
        """Remove the file."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
        self._keys = 0

    def _create(self) -> sqlite3.Connection:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{self._name}-", suffix=".sqlite3", dir=self._folder)
        os.close(handle)
        self._path = Path(name)
        database = sqlite3.connect(name, isolation_level=None)
        # Nobody reads the file after a crash, so nothing is paid for surviving one.
        for setting in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
            database.execute(f"PRAGMA {setting}")
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        database.execute("CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        if os.name == "posix":
            # A name is not needed any more; without one nothing is left behind by kill -9.
            self._path.unlink()
            self._path = None
        self._database = database
        return database

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            folder = self._folder or "the folder for temporary files"
            raise UnavailableError(
                f"state cannot be kept on disk in {folder} ({error}): make room there, or name another state folder"
            ) from error
