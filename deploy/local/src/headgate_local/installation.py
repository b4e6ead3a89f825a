"""Fills the cache: verified artifacts, the unpacked registry, the JDK's class-data archive."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from headgate_local import jvm
from headgate_local.artifacts import DownloadReport, LockedArtifact, Repository, fetch_all, read_lock
from headgate_local.folder import FolderLock, StackError
from headgate_local.maven import MavenCentral

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Installation:
    """What the JVMs run from.

    Attributes:
        class_path: Kafka's jars, in the lock's order.
        registry_home: Folder of the unpacked registry.
        base_archive: Class-data archive of the JDK.
        kafka_archive: Where Kafka's own archive belongs; the first broker that stops writes it.
    """

    class_path: str
    registry_home: Path
    base_archive: Path
    kafka_archive: Path


def install(
    cache: Path,
    report: DownloadReport,
    *,
    repository: Repository | None = None,
    locked: Sequence[LockedArtifact] | None = None,
) -> Installation:
    """Make the cache complete; one process does the work while others wait for it.

    Raises:
        UnavailableError: A file could not be downloaded.
        ChecksumError: A file is not what the lock says.
    """
    entries = read_lock() if locked is None else locked
    with FolderLock(cache):
        _discard_abandoned(cache)
        files = fetch_all(entries, cache / "maven", repository or MavenCentral(), report)
        homes = [_unpack(file, cache / "apps") for file in files if file.name.endswith(".tar.gz")]
        if len(homes) != 1:
            raise StackError(f"the lock must name one registry archive, it names {len(homes)}")
        archive = jvm.base_archive(cache)
    class_path = os.pathsep.join(str(file) for file in files if file.suffix == ".jar")
    # the archive holds the paths of its jars: another cache, JDK or lock makes another one
    key = hashlib.sha256(f"{archive.name}\n{class_path}".encode()).hexdigest()[:12]
    return Installation(class_path, homes[0], archive, cache / f"kafka-{key}.jsa")


def _unpack(archive: Path, folder: Path) -> Path:
    home = folder / archive.name.removesuffix(".tar.gz")
    if not home.exists():
        part = folder / f"{home.name}.{os.getpid()}.part"
        with tarfile.open(archive) as tar:
            # Python before 3.11.4 knows no filters; the archive's hash was verified
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(part)  # noqa: S202 - see above
        part.rename(home)
    return home


def _discard_abandoned(cache: Path) -> None:
    """Remove what installers and brokers that were killed left half done; the caller holds the cache's lock."""
    for folder in [*cache.glob("maven/incoming-*"), *cache.glob("apps/*.part")]:
        shutil.rmtree(folder)
    for part in cache.glob("*.part"):
        # a broker may be writing its archive just now: it does so without the lock
        owner = part.suffixes[-2].removeprefix(".")
        if not psutil.pid_exists(int(owner)):
            part.unlink()
