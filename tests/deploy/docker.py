"""Docker's command line, for the parts that need an engine: they fail where there is none."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
IMAGES = ("producer", "enricher", "processor", "writer", "bedrock-local", "admin", "demo")
TAIL_CHARS = 4000


class DeployError(Exception):
    """A tool that a part needs is missing, or failed where it may not; the text says what to do."""


def version() -> str:
    """The project's version, which the images are tagged with."""
    project = tomllib.loads((ROOT / "services/runtime/pyproject.toml").read_text("utf-8"))
    return str(project["project"]["version"])


def image(name: str) -> str:
    """An image's full name."""
    return f"headgate-{name}:{version()}"


def run(
    *command: str, timeout_s: float = 900, environment: Mapping[str, str] | None = None, codes: Sequence[int] = (0,)
) -> str:
    """Run a program in the project's root and return what it prints; DeployError where its exit code is none of these."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise DeployError(f"{' '.join(command)}: {error}") from error
    if done.returncode not in codes:
        raise DeployError(
            f"{' '.join(command)} ended with code {done.returncode}:\n{(done.stdout + done.stderr)[-TAIL_CHARS:]}"
        )
    return done.stdout


def require_engine() -> None:
    """Raise DeployError unless a Docker engine answers and the command line has buildx and compose."""
    try:
        for question in (("info",), ("buildx", "version"), ("compose", "version")):
            run("docker", *question, timeout_s=30)
    except DeployError as error:
        raise DeployError(
            f"images and compose are checked with a Docker engine, buildx and compose: {error}"
        ) from error


def inspect(name: str) -> dict[str, Any]:
    """What Docker knows of an image or a container."""
    (found,) = json.loads(run("docker", "inspect", name))
    return dict(found)
