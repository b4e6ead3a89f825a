"""Docker's command line, for the parts that need an engine: they fail where there is none."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from tests.deploy.tools import ROOT, ToolError, run

IMAGES = ("producer", "enricher", "processor", "writer", "bedrock-local", "admin", "demo")


def version() -> str:
    """The project's version, which the images are tagged with."""
    project = tomllib.loads((ROOT / "services/runtime/pyproject.toml").read_text("utf-8"))
    return str(project["project"]["version"])


def image(name: str) -> str:
    """An image's full name."""
    return f"headgate-{name}:{version()}"


def require_engine() -> None:
    """Raise ToolError unless a Docker engine answers and the command line has buildx and compose."""
    try:
        for question in (("info",), ("buildx", "version"), ("compose", "version")):
            run("docker", *question, timeout_s=30)
    except ToolError as error:
        raise ToolError(f"images and compose are checked with a Docker engine, buildx and compose: {error}") from error


def inspect(name: str) -> dict[str, Any]:
    """What Docker knows of an image or a container."""
    (found,) = json.loads(run("docker", "inspect", name))
    return dict(found)
