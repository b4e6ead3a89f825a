"""Makes the lock: Maven resolves the brokers' class path once, on a developer's machine; users only download."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from headgate_runtime.errors import ConfigurationError

from headgate_local.artifacts import (
    DOWNLOADS_AT_ONCE,
    LOCK_NAME,
    Artifact,
    LockedArtifact,
    Repository,
    sha256_of,
    write_lock,
)

KAFKA_VERSION = "4.3.1"
REGISTRY_VERSION = "3.3.3"
LOG4J_VERSION = "2.25.4"  # the log4j-core that Kafka 4.3.1 asks for

CLASS_PATH_ROOTS = (
    Artifact("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    Artifact("org.apache.kafka", "kafka-clients", KAFKA_VERSION),
    Artifact("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
)
REGISTRY = Artifact("io.apicurio", "apicurio-registry-app", REGISTRY_VERSION, "tar.gz", "all")
# a broker that lacks one of these fails the batches of that codec only when the first one comes
CODECS = ("lz4-java", "snappy-java", "zstd-jni")

_LISTED = re.compile(r"^\s+([\w.\-]+):([\w.\-]+):(jar):([\w.\-]+):(compile|runtime)\b", re.MULTILINE)


def make_lock(repository: Repository) -> str:
    """Resolve, download and hash everything the stack needs; returns the lock's text.

    Raises:
        ConfigurationError: ``mvn`` is not on the PATH, it failed, or a codec is missing from the class path.
    """
    artifacts = [*resolve_class_path(), REGISTRY]
    with (
        tempfile.TemporaryDirectory(prefix="headgate-lock-") as folder,
        ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool,
    ):

        def lock(artifact: Artifact) -> LockedArtifact:
            path = repository.download(artifact, Path(folder) / str(artifact), lambda _size: None)
            return LockedArtifact(artifact, sha256_of(path), path.stat().st_size)

        locked = list(pool.map(lock, artifacts))
    header = (
        f"# Kafka {KAFKA_VERSION} (class path) and Apicurio Registry {REGISTRY_VERSION}; made by: headgate local lock\n"
    )
    return header + write_lock(locked)


def resolve_class_path() -> list[Artifact]:
    """The runtime class path of the broker, as Maven resolves it."""
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigurationError("making the lock needs Apache Maven: put mvn on the PATH")
    with tempfile.TemporaryDirectory(prefix="headgate-lock-") as folder:
        listing = Path(folder) / "class-path.txt"
        Path(folder, "pom.xml").write_text(_pom(), encoding="utf-8")
        command = [maven, "-B", "-q", "dependency:list", "-DincludeScope=runtime", f"-DoutputFile={listing}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
        if done.returncode != 0:
            raise ConfigurationError(
                f"mvn could not resolve the class path:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        return parse_listing(listing.read_text(encoding="utf-8"))


def parse_listing(text: str) -> list[Artifact]:
    """The jars in the output of Maven's ``dependency:list``."""
    found = [Artifact(*match.group(1, 2, 4)) for match in _LISTED.finditer(text)]
    if lacking := [codec for codec in CODECS if codec not in {artifact.name for artifact in found}]:
        raise ConfigurationError(f"the resolved class path lacks the codecs {', '.join(lacking)}")
    return found


def lock_path() -> Path:
    """Where the lock stands in the source tree."""
    return Path(__file__).with_name(LOCK_NAME)


def _pom() -> str:
    dependencies = "".join(
        f"<dependency><groupId>{root.group}</groupId><artifactId>{root.name}</artifactId>"
        f"<version>{root.version}</version></dependency>"
        for root in CLASS_PATH_ROOTS
    )
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>headgate</groupId><artifactId>class-path</artifactId>"
        f"<version>1</version><dependencies>{dependencies}</dependencies></project>"
    )
