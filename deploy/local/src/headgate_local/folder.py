"""The data folder of a stack: who holds it, and what it remembers between runs."""

from __future__ import annotations

import base64
import fcntl
import os
import uuid
from typing import TYPE_CHECKING, Self

from headgate_runtime.errors import HeadgateError
from pydantic import BaseModel, Field

from headgate_local.lake import Lake
from headgate_local.security import Security

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

LOCK_NAME = ".lock"


class StackError(HeadgateError):
    """The embedded stack cannot start; the text says why."""


class InUseError(StackError):
    """Another process holds the folder."""


class FolderLock:
    """An exclusive lock on a folder; the kernel releases it with the process, however that ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        self._descriptor: int | None = None

    def acquire(self, *, wait: bool = False) -> None:
        """Take the lock (``wait``: however long that takes); InUseError when another process has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode().strip() or "unknown"
            os.close(descriptor)
            raise InUseError(
                f"{self._path.parent} is in use by process {holder}: stop it, or give another folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire(wait=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def new_cluster_id() -> str:
    """A cluster id in Kafka's form: 16 random bytes, URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


class Memory(BaseModel):
    """What a data folder remembers between runs.

    Attributes:
        cluster_id: The Kafka cluster's id; the storage is formatted with it.
        ports: Loopback ports by the name of what listens there.
        lake: Where the last run had its tables.
        security: Who may connect; a folder's is its first run's.
    """

    cluster_id: str = Field(default_factory=new_cluster_id)
    ports: dict[str, int] = Field(default_factory=dict)
    lake: Lake = Lake.FILES
    security: Security = Security.PLAIN

    @staticmethod
    def kept(data: Path) -> bool:
        """Whether a data folder remembers an earlier run."""
        return (data / "stack.json").exists()

    @classmethod
    def load(cls, data: Path) -> Memory:
        """Read the memory of a data folder; a new one where there is none."""
        return cls.model_validate_json((data / "stack.json").read_bytes()) if cls.kept(data) else cls()

    def save(self, data: Path) -> None:
        """Write the memory so that a reader sees the old or the new one, never a part."""
        write_whole(data / "stack.json", self.model_dump_json(indent=2))


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file that appears complete or not at all, with the given permissions from its first moment."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)
