"""Processes known by pid and creation time: a pid alone may belong to somebody else by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
from pydantic import BaseModel, ValidationError

from headgate_local.folder import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

# Linux derives the creation time from the boot time, which clock corrections move a little
CREATED_WITHIN_S = 2.0


class ProcessIdentity(BaseModel):
    """A process that is told apart from later ones with the same pid.

    Attributes:
        pid: Process id.
        created_s: Creation time, seconds since the epoch.
    """

    pid: int
    created_s: float

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """The identity of a living process; psutil.NoSuchProcess when there is none."""
        return cls(pid=pid, created_s=psutil.Process(pid).create_time())

    @classmethod
    def read(cls, path: Path) -> ProcessIdentity | None:
        """The identity in a pid file; None where there is no file or it is damaged."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def write(self, path: Path) -> None:
        """Write the pid file."""
        write_whole(path, self.model_dump_json())

    def process(self) -> psutil.Process | None:
        """The living process, None when it is gone (or only a zombie)."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created_s) > CREATED_WITHIN_S:
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.NoSuchProcess:
            return None


def end_processes(processes: Iterable[psutil.Process], *, grace_s: float) -> None:
    """Terminate processes, and kill those that have not gone after ``grace_s`` seconds."""
    living = list(processes)
    for process in living:
        _signal(process, psutil.Process.terminate)
    _, stubborn = psutil.wait_procs(living, timeout=grace_s)
    for process in stubborn:
        _signal(process, psutil.Process.kill)
    psutil.wait_procs(stubborn, timeout=grace_s)


def clean_leftovers(folder: Path, *, grace_s: float = 10.0) -> list[str]:
    """End what an earlier run left behind and drop its pid files; only the holder of the folder's lock may call it.

    Returns:
        The names of the processes that were still alive.
    """
    identities = {path: ProcessIdentity.read(path) for path in sorted(folder.glob("*.pid"))}
    living = {
        path.stem: process
        for path, identity in identities.items()
        if identity is not None and (process := identity.process()) is not None
    }
    end_processes(living.values(), grace_s=grace_s)
    for path in identities:
        path.unlink(missing_ok=True)
    return list(living)


def _signal(process: psutil.Process, send: Callable[[psutil.Process], None]) -> None:
    try:
        send(process)
    except psutil.NoSuchProcess:
        return
