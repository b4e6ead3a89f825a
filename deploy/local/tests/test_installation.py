"""The cache is made complete from a lock, and what killed installers left behind goes away."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
from headgate_local import jvm
from headgate_local.artifacts import Artifact, LockedArtifact
from headgate_local.folder import StackError
from headgate_local.installation import install
from headgate_local.progress import PlainProgress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JAR = Artifact("org.example", "one", "1.0")
APP = Artifact("org.example.app", "registry", "2.1", "tar.gz", "all")


class MemoryRepository:
    """Serves a jar and an archive with one file."""

    def __init__(self) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            content = b"the program"
            entry = tarfile.TarInfo("quarkus-run.jar")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        self.contents = {JAR: b"jar", APP: packed.getvalue()}

    def download(self, artifact: Artifact, folder: Path, received: Callable[[int], None]) -> Path:
        folder.mkdir(parents=True)
        path = folder / artifact.filename
        received(path.write_bytes(self.contents[artifact]))
        return path

    def locked(self) -> list[LockedArtifact]:
        return [
            LockedArtifact(artifact, hashlib.sha256(data).hexdigest(), len(data))
            for artifact, data in self.contents.items()
        ]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(jvm, "base_archive", lambda folder: folder / "jdk.jsa")
    return tmp_path / "cache"


def silent() -> PlainProgress:
    return PlainProgress(io.StringIO())


def test_an_empty_cache_is_filled(cache: Path) -> None:
    repository = MemoryRepository()
    installation = install(cache, silent(), repository=repository, locked=repository.locked())
    assert installation.class_path == str(cache / "maven/org/example/one/1.0/one-1.0.jar")
    assert (installation.registry_home / "quarkus-run.jar").read_bytes() == b"the program"
    assert installation.kafka_archive.parent == cache
    assert install(cache, silent(), repository=repository, locked=repository.locked()) == installation


def test_what_a_killed_installer_left_is_removed_and_a_living_brokers_archive_stays(cache: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (cache / "maven" / "incoming-1-x").mkdir(parents=True)
    (cache / "apps" / "registry.1.part").mkdir(parents=True)
    (cache / f"kafka-1.jsa.{gone.pid}.part").touch()
    (cache / f"kafka-1.jsa.{os.getpid()}.part").touch()
    repository = MemoryRepository()
    install(cache, silent(), repository=repository, locked=repository.locked())
    assert [path.name for path in cache.rglob("*.part")] == [f"kafka-1.jsa.{os.getpid()}.part"]
    assert not list(cache.glob("maven/incoming-*"))


def test_a_lock_without_a_registry_is_refused(cache: Path) -> None:
    repository = MemoryRepository()
    del repository.contents[APP]
    with pytest.raises(StackError, match="must name one registry archive, it names 0"):
        install(cache, silent(), repository=repository, locked=repository.locked())
