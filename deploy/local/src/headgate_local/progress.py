"""Says what the stack is doing: plain lines for logs and pipes, a moving bar at a terminal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, TextIO

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichBar

from headgate_local.artifacts import DownloadReport

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from headgate_local.artifacts import Artifact


class Progress(DownloadReport, Protocol):
    """Told what happens while a stack starts; called from several threads."""

    def say(self, line: str) -> None:
        """Say one thing that has happened."""
        ...


class PlainProgress:
    """Plain lines, a download in four of them."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._missing = self._arrived = self._bytes = 0

    def say(self, line: str) -> None:
        """Print one line."""
        print(line, file=self._out, flush=True)

    def begin(self, missing: int, folder: Path) -> None:
        """Print how much is to come."""
        self._missing, self._arrived, self._bytes = missing, 0, 0
        self.say(f"downloading {missing} files to {folder}")

    def done(self, artifact: Artifact, size: int) -> None:
        """Print a line at each quarter of the files."""
        with self._lock:
            self._arrived += 1
            self._bytes += size
            quarter = max(1, self._missing // 4)
            if self._arrived % quarter == 0 or self._arrived == self._missing:
                done = f"{self._arrived} of {self._missing} files, {self._bytes / 1e6:.0f} MB"
                self.say(f"downloaded {done} (last: {artifact.filename})")


class TerminalProgress:
    """A moving bar while files come, and lines above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._bar: RichBar | None = None
        self._missing = self._arrived = 0

    def say(self, line: str) -> None:
        """Print one line."""
        self._console.print(line, highlight=False, markup=False)

    def begin(self, missing: int, folder: Path) -> None:
        """Show the bar."""
        self.say(f"downloading to {folder}")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = RichBar(*columns, console=self._console, transient=True)
        self._missing, self._arrived = missing, 0
        self._bar.add_task("files", total=missing)
        self._bar.start()

    def done(self, artifact: Artifact, size: int) -> None:
        """Move the bar; take it away with the last file."""
        with self._lock:
            self._arrived += 1
            if self._bar is None:
                return
            self._bar.console.print(f"  {artifact.filename} {size / 1e6:.1f} MB", highlight=False, markup=False)
            self._bar.update(self._bar.task_ids[0], completed=self._arrived)
            if self._arrived == self._missing:
                self._bar.stop()
