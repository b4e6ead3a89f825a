"""Says what the stack is doing: plain lines for logs and pipes, a moving bar at a terminal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, TextIO

from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as RichBar

from headgate_local.artifacts import DownloadReport

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


class Progress(DownloadReport, Protocol):
    """Told what happens while a stack starts; called from several threads."""

    def say(self, line: str) -> None:
        """Say one thing that has happened."""
        ...


class PlainProgress:
    """Plain lines; of a download, one at each tenth."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._size = self._arrived = self._told = 0

    def say(self, line: str) -> None:
        """Print one line."""
        print(line, file=self._out, flush=True)

    def begin(self, files: int, size: int, folder: Path) -> None:
        """Print how much is to come."""
        self._size, self._arrived, self._told = size, 0, 0
        self.say(f"downloading {files} files, {size / 1e6:.0f} MB, to {folder}")

    def received(self, size: int) -> None:
        """Print a line at each tenth."""
        with self._lock:
            self._arrived += size
            tenths = 10 * self._arrived // self._size
            if tenths > self._told:
                self._told = tenths
                self.say(f"downloaded {self._arrived / 1e6:.0f} of {self._size / 1e6:.0f} MB")

    def end(self) -> None:
        """Nothing to take away."""


class TerminalProgress:
    """A moving bar while files come, and lines above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: RichBar | None = None

    def say(self, line: str) -> None:
        """Print one line."""
        self._console.print(line, highlight=False, markup=False)

    def begin(self, files: int, size: int, folder: Path) -> None:
        """Show the bar."""
        self.say(f"downloading {files} files to {folder}")
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._bar = RichBar(*columns, console=self._console, transient=True)
        self._bar.add_task("download", total=size)
        self._bar.start()

    def received(self, size: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], size)

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
