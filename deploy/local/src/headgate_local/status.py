"""What of a platform runs now, from its files and from the processes themselves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil
from pydantic import BaseModel

from headgate_local import background
from headgate_local.endpoints import Endpoints
from headgate_local.http_ready import http_not_ready
from headgate_local.identity import ProcessIdentity

if TYPE_CHECKING:
    from pathlib import Path


class ProcessStatus(BaseModel):
    """One process of the platform.

    Attributes:
        name: The process's name.
        pid: Process id, None when it does not run.
        rss_bytes: Resident memory.
        uptime_s: Seconds since its start.
        problem: Why it is not ready, None when it is (or when it has no address to ask).
    """

    name: str
    pid: int | None
    rss_bytes: int = 0
    uptime_s: float = 0.0
    problem: str | None = None


class Status(BaseModel):
    """A platform: whether its supervisor runs, its addresses once ready, its processes."""

    supervisor_pid: int | None
    endpoints: Endpoints | None
    processes: list[ProcessStatus]

    @property
    def up(self) -> bool:
        """Whether everything was started and is still supervised."""
        return self.supervisor_pid is not None and self.endpoints is not None


def status(folder: Path) -> Status:
    """Look at the platform of a folder."""
    running = background.supervisor(folder)
    endpoints = Endpoints.read(folder)
    urls = {} if endpoints is None else endpoints.services
    processes = [_process(path, urls) for path in sorted((folder / "data" / "run").glob("*.pid"))]
    return Status(supervisor_pid=None if running is None else running.pid, endpoints=endpoints, processes=processes)


def _process(pid_file: Path, urls: dict[str, str]) -> ProcessStatus:
    name = pid_file.stem
    identity = ProcessIdentity.read(pid_file)
    process = None if identity is None else identity.process()
    if process is None or identity is None:
        return ProcessStatus(name=name, pid=None, problem="does not run")
    url = urls.get(name.removesuffix("-0"))
    try:
        rss_bytes = process.memory_info().rss
    except psutil.NoSuchProcess:
        return ProcessStatus(name=name, pid=None, problem="has just ended")
    return ProcessStatus(
        name=name,
        pid=process.pid,
        rss_bytes=rss_bytes,
        uptime_s=max(0.0, time.time() - identity.created_s),
        problem=None if url is None else http_not_ready(f"{url}/readyz"),
    )
