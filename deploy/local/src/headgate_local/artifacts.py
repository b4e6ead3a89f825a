"""The locked Maven artifacts: read the lock, download what is missing, and let nothing unverified get its name."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from headgate_runtime.errors import ConfigurationError, HeadgateError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

LOCK_NAME = "artifacts.lock"
DOWNLOADS_AT_ONCE = 8
ATTEMPTS = 3

_log = logging.getLogger(__name__)


class ChecksumError(HeadgateError):
    """A downloaded file is not the one in the lock."""


@dataclass(frozen=True, slots=True, order=True)
class Artifact:
    """One file of a Maven repository, named by its coordinates."""

    group: str
    name: str
    version: str
    packaging: str = "jar"
    classifier: str = ""

    @property
    def filename(self) -> str:
        """The file's name in every Maven repository."""
        suffix = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.version}{suffix}.{self.packaging}"

    @property
    def path(self) -> Path:
        """The file's path below a repository's root."""
        return Path(*self.group.split("."), self.name, self.version, self.filename)

    @classmethod
    def parse(cls, text: str) -> Artifact:
        """Read ``group:name:version:packaging[:classifier]``."""
        parts = text.split(":")
        if len(parts) not in {4, 5} or not all(parts):
            raise ConfigurationError(f"not an artifact: {text!r}; expected group:name:version:packaging[:classifier]")
        return cls(*parts)

    def __str__(self) -> str:
        parts = [self.group, self.name, self.version, self.packaging]
        return ":".join([*parts, self.classifier] if self.classifier else parts)


@dataclass(frozen=True, slots=True)
class LockedArtifact:
    """An artifact, the SHA-256 (hexadecimal) its bytes must have, and how many they are."""

    artifact: Artifact
    sha256: str
    size: int


class Repository(Protocol):
    """Downloads artifacts by their coordinates."""

    def download(self, artifact: Artifact, folder: Path, received: Callable[[int], None]) -> Path:
        """Put the artifact's bytes somewhere below ``folder`` and say where; OSError or RuntimeError when it cannot.

        ``received`` is told of every part that arrives, in bytes.
        """
        ...


class DownloadReport(Protocol):
    """Told how a download goes; called from several threads."""

    def begin(self, files: int, size: int, folder: Path) -> None:
        """Say that ``files`` files of ``size`` bytes in all will come to ``folder``; called only where there are some."""
        ...

    def received(self, size: int) -> None:
        """Say that ``size`` more bytes have arrived; a negative size takes those of a failed attempt back."""
        ...

    def end(self) -> None:
        """Say that the download is over, well or not."""
        ...


def read_lock(text: str | None = None) -> tuple[LockedArtifact, ...]:
    """Read a lock (``sha256  size  coordinates`` a line, # starts a comment); None reads the one this package ships."""
    if text is None:
        text = files("headgate_local").joinpath(LOCK_NAME).read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return tuple(LockedArtifact(Artifact.parse(coordinates), sha256, int(size)) for sha256, size, coordinates in rows)


def write_lock(locked: Iterable[LockedArtifact]) -> str:
    """The text ``read_lock`` reads, one line an artifact, ordered by coordinates."""
    return "".join(
        f"{entry.sha256}  {entry.size:>9}  {entry.artifact}\n"
        for entry in sorted(locked, key=lambda entry: entry.artifact)
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_all(
    locked: Sequence[LockedArtifact], folder: Path, repository: Repository, report: DownloadReport
) -> list[Path]:
    """Make sure that every artifact stands below ``folder``; returns their paths in the order given.

    Raises:
        UnavailableError: A file could not be downloaded.
        ChecksumError: A file is not what the lock says; it never gets its name.
    """
    missing = [entry for entry in locked if not (folder / entry.artifact.path).exists()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        report.begin(len(missing), sum(entry.size for entry in missing), folder)
        with (
            _ending(report),
            tempfile.TemporaryDirectory(prefix=f"incoming-{os.getpid()}-", dir=folder) as incoming,
            ThreadPoolExecutor(DOWNLOADS_AT_ONCE, thread_name_prefix="download") as pool,
        ):
            list(pool.map(lambda entry: _fetch(entry, folder, Path(incoming), repository, report), missing))
    return [folder / entry.artifact.path for entry in locked]


@contextmanager
def _ending(report: DownloadReport) -> Iterator[None]:
    try:
        yield
    finally:
        report.end()


def _fetch(entry: LockedArtifact, folder: Path, incoming: Path, repository: Repository, report: DownloadReport) -> None:
    fault: Exception | None = None
    for attempt in range(ATTEMPTS):
        private = incoming / f"{entry.artifact.filename}.{attempt}"
        arrived: list[int] = []

        def received(size: int, arrived: list[int] = arrived) -> None:
            arrived.append(size)
            report.received(size)

        try:
            part = repository.download(entry.artifact, private, received)
            _take(part, entry, folder / entry.artifact.path)
        except ChecksumError as error:
            fault = error
        except (OSError, RuntimeError) as error:
            fault = UnavailableError(f"cannot download {entry.artifact}: {error}; is the network up?")
        else:
            return
        report.received(-sum(arrived))
        shutil.rmtree(private, ignore_errors=True)
        _log.warning("download attempt %d of %d failed: %s", attempt + 1, ATTEMPTS, fault)
    if fault is not None:
        raise fault


def _take(part: Path, entry: LockedArtifact, target: Path) -> None:
    """Give a downloaded file its name, provided it is the one in the lock."""
    found = sha256_of(part)
    if found != entry.sha256:
        raise ChecksumError(
            f"{entry.artifact} has SHA-256 {found}, the lock says {entry.sha256}: "
            "the mirror serves another file, or the lock must be made anew (headgate local lock)"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)
