"""Where states go that memory has no room for: one SQLite file a partition, which lives no longer than its process."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headgate_runtime.errors import UnavailableError
from headgate_runtime.state.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Spill:
    """Keys and values on disk. The file is made at the first write, and is rebuilt from the changelog, never reopened.

    Args:
        folder: Where the file is made; None takes the system's folder for temporary files.
        name: Start of the file's name.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self._folder = folder
        self._name = name
        self._scratch: Scratch | None = None
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
            if self._scratch is None:
                self._scratch = Scratch(self._folder, self._name)
            database = self._scratch.database
            database.execute("BEGIN")
            database.executemany("INSERT INTO state VALUES (?, ?)", rows)
            database.execute("COMMIT")
        self._keys += len(rows)

    def take(self, key: bytes) -> bytes | None:
        """Remove a key and return its value; None where it is not there; raises as ``write``."""
        if not self._keys or self._scratch is None:
            return None
        with self._explained():
            database = self._scratch.database
            found = database.execute("DELETE FROM state WHERE key = ? RETURNING value", (key,)).fetchone()
        if found is None:
            return None
        self._keys -= 1
        value: bytes = found[0]
        return value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Give all keys with their values, in no order; nothing may be written or taken meanwhile; raises as ``write``."""
        if self._scratch is not None:
            with self._explained():
                yield from self._scratch.database.execute("SELECT key, value FROM state")

    def close(self) -> None:
        """Remove the file."""
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None
        self._keys = 0

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            folder = self._folder or "the folder for temporary files"
            raise UnavailableError(
                f"state cannot be kept on disk in {folder} ({error}): make room there, or name another state folder"
            ) from error
