"""Nothing unverified gets its final name, and the lock is read as it was written."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

import pytest
from headgate_local.artifacts import (
    ATTEMPTS,
    Artifact,
    ChecksumError,
    LockedArtifact,
    fetch_all,
    read_lock,
    write_lock,
)
from headgate_local.lock import CODECS, parse_listing
from headgate_local.progress import PlainProgress
from headgate_runtime.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JAR = Artifact("org.example", "one", "1.0")
APP = Artifact("org.example.app", "two", "2.1", "tar.gz", "all")
BYTES = {JAR: b"jar", APP: b"app"}


class MemoryRepository:
    """Serves bytes by coordinates; each fault is raised once, in order, before anything is served."""

    def __init__(self, contents: dict[Artifact, bytes], faults: list[Exception] | None = None) -> None:
        self.contents = contents
        self.faults = faults or []
        self.downloads: list[Artifact] = []

    def download(self, artifact: Artifact, folder: Path, received: Callable[[int], None]) -> Path:
        self.downloads.append(artifact)
        if self.faults:
            raise self.faults.pop(0)
        folder.mkdir(parents=True)
        path = folder / artifact.filename
        received(path.write_bytes(self.contents[artifact]))
        return path


def locked(contents: dict[Artifact, bytes]) -> list[LockedArtifact]:
    return [
        LockedArtifact(artifact, hashlib.sha256(data).hexdigest(), len(data)) for artifact, data in contents.items()
    ]


def silent() -> PlainProgress:
    return PlainProgress(io.StringIO())


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_downloads_stand_where_a_maven_repository_has_them(tmp_path: Path) -> None:
    paths = fetch_all(locked(BYTES), tmp_path, MemoryRepository(BYTES), silent())
    assert paths == [
        tmp_path / "org/example/one/1.0/one-1.0.jar",
        tmp_path / "org/example/app/two/2.1/two-2.1-all.tar.gz",
    ]
    assert [path.read_bytes() for path in paths] == [b"jar", b"app"]
    assert sorted(files_in(tmp_path)) == sorted(paths)


def test_a_second_run_downloads_only_what_is_missing(tmp_path: Path) -> None:
    paths = fetch_all(locked(BYTES), tmp_path, MemoryRepository(BYTES), silent())
    paths[0].unlink()
    again = MemoryRepository(BYTES)
    fetch_all(locked(BYTES), tmp_path, again, silent())
    assert again.downloads == [JAR]


def test_a_file_with_another_hash_never_gets_its_name(tmp_path: Path) -> None:
    repository = MemoryRepository(BYTES | {JAR: b"forged"})
    with pytest.raises(ChecksumError, match=r"org\.example:one:1\.0:jar has SHA-256 .* the lock says"):
        fetch_all(locked(BYTES), tmp_path, repository, silent())
    assert tmp_path / JAR.path not in files_in(tmp_path)
    assert not [path for path in files_in(tmp_path) if path.read_bytes() == b"forged"]


def test_a_network_fault_is_overcome_by_another_attempt(tmp_path: Path) -> None:
    repository = MemoryRepository(BYTES, faults=[OSError("reset"), RuntimeError("not found")])
    (path,) = fetch_all(locked({JAR: b"jar"}), tmp_path, repository, silent())
    assert path.read_bytes() == b"jar"
    assert len(repository.downloads) == ATTEMPTS


def test_a_lasting_network_fault_says_what_could_not_be_downloaded(tmp_path: Path) -> None:
    repository = MemoryRepository(BYTES, faults=[OSError("unreachable")] * ATTEMPTS)
    with pytest.raises(UnavailableError, match=r"cannot download org\.example:one:1\.0:jar: unreachable"):
        fetch_all(locked({JAR: b"jar"}), tmp_path, repository, silent())


def test_a_download_is_announced_and_counted(tmp_path: Path) -> None:
    out = io.StringIO()
    fetch_all(locked(BYTES), tmp_path, MemoryRepository(BYTES), PlainProgress(out))
    assert f"downloading 2 files, 0 MB, to {tmp_path}" in out.getvalue()
    assert "downloaded 0 of 0 MB" in out.getvalue()


def test_the_bytes_of_a_failed_attempt_are_taken_back(tmp_path: Path) -> None:
    counted: list[int] = []
    report = silent()
    report.received = counted.append  # type: ignore[method-assign]  # to see what it is told
    with pytest.raises(ChecksumError):
        fetch_all(locked({JAR: b"jar"}), tmp_path, MemoryRepository({JAR: b"forged"}), report)
    assert counted == [6, -6] * ATTEMPTS


def test_a_written_lock_is_read_back() -> None:
    text = "# a comment\n" + write_lock(locked(BYTES))
    assert list(read_lock(text)) == locked(BYTES)


def test_the_shipped_lock_has_the_codecs_the_logger_and_the_registry() -> None:
    names = {entry.artifact.name for entry in read_lock()}
    assert names >= {*CODECS, "kafka_2.13", "log4j-slf4j-impl", "apicurio-registry-app"}
    assert all(len(entry.sha256) == 64 for entry in read_lock())


def test_nonsense_coordinates_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected group:name:version:packaging"):
        Artifact.parse("org.example:one")


LISTING = """
The following files have been resolved:
   at.yawk.lz4:lz4-java:jar:1.10.2:runtime
   org.xerial.snappy:snappy-java:jar:1.1.10.7:runtime -- module org.xerial.snappy
   com.github.luben:zstd-jni:jar:1.5.6-10:compile
   org.junit:junit:jar:5.0:test
"""


def test_mavens_listing_is_read_without_tests() -> None:
    assert [str(artifact) for artifact in parse_listing(LISTING)] == [
        "at.yawk.lz4:lz4-java:1.10.2:jar",
        "org.xerial.snappy:snappy-java:1.1.10.7:jar",
        "com.github.luben:zstd-jni:1.5.6-10:jar",
    ]


def test_a_class_path_without_a_codec_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="lacks the codecs lz4-java"):
        parse_listing(LISTING.replace("lz4-java", "other"))
