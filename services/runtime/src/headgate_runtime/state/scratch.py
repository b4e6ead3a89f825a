"""A SQLite file that lives no longer than its process: for what memory has no room for."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Final

_CACHE_KIB: Final = 2_048


class Scratch:
    """A table of keys and values on disk, ``state (key BLOB PRIMARY KEY, value BLOB)``.

    Args:
        folder: Where the file is made; None takes the system's folder for temporary files.
        name: Start of the file's name.

    Attributes:
        database: The connection; one thread at a time uses it.

    Raises:
        OSError: The file cannot be made.
        sqlite3.Error: The same.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(prefix=f"{name}-", suffix=".sqlite3", dir=folder)
        os.close(handle)
        self._path: Path | None = Path(path)
        self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # Nobody reads the file after a crash, so nothing is paid for surviving one.
        for setting in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
            self.database.execute(f"PRAGMA {setting}")
        self.database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self.database.execute("CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        if os.name == "posix":
            # A name is not needed any more; without one nothing is left behind by kill -9.
            self._path.unlink()
            self._path = None

    def close(self) -> None:
        """Remove the file."""
        self.database.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
