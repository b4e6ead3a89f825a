"""Makes new agents: a complete small one out of templates, ready to be changed."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path, PurePath
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

LONGEST_NAME = 32
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_RESERVED = frozenset({"toolkit"})
_SUFFIX = ".tmpl"
_SOURCES = """
[tool.uv.sources]
headgate-agent-toolkit = { workspace = true }
headgate-schemas = { workspace = true }
"""


class ScaffoldError(Exception):
    """An agent cannot be made there; the text says why and what to do."""


def check_name(name: str) -> None:
    """Check that an agent may be called so.

    Raises:
        ValueError: It may not; the text says why.
    """
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise ValueError(
            f"{name!r} is no name for an agent: take lower-case words of letters and digits, joined by single hyphens, "
            f"that begin with a letter, {LONGEST_NAME} characters at most, such as card-testing"
        )
    if name in _RESERVED:
        raise ValueError(f"{name!r} is the name of a package that agents use: take another")
    if name in (taken := entry_points(group="headgate.agents")).names:
        raise ValueError(f"there is an agent {name!r} already ({taken[name].value}): take another name")


def create_agent_package(name: str, folder: Path) -> list[Path]:
    """Write a new agent's package.

    Args:
        name: The agent's name, one that ``check_name`` lets pass.
        folder: Folder of the package; it is made.

    Returns:
        The files written, in order.

    Raises:
        ScaffoldError: There is something at the folder's place already, or it cannot be written.
    """
    if folder.exists():
        raise ScaffoldError(f"{folder} is there already and stays as it is: remove it, or take another name or folder")
    snake = name.replace("-", "_")
    values = {
        "name": name,
        "package": f"headgate_agent_{snake}",
        "tool": f"record_{snake}",
        "cls": "".join(word.capitalize() for word in name.split("-")),
        "sources": _SOURCES if _in_workspace(folder.absolute()) else "",
    }
    written: list[Path] = []
    try:
        for path, template in _templates(files(__package__).joinpath("templates"), PurePath()):
            place = folder / str(path).removesuffix(_SUFFIX).replace("package", values["package"], 1)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(Template(template.read_text("utf-8")).substitute(values), "utf-8")
            written.append(place)
    except OSError as error:
        raise ScaffoldError(f"{folder} cannot be written: {error}") from error
    return written


def _templates(folder: Traversable, path: PurePath) -> Iterator[tuple[PurePath, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _templates(entry, path / entry.name)
        else:
            yield path / entry.name, entry


def _in_workspace(folder: Path) -> bool:
    """Whether a folder is a member of a uv workspace, where packages find each other by the workspace's sources."""
    for parent in folder.parents:
        project = parent / "pyproject.toml"
        if project.is_file():
            workspace = tomllib.loads(project.read_text("utf-8")).get("tool", {}).get("uv", {}).get("workspace", {})
            if any(folder.relative_to(parent).match(member) for member in workspace.get("members", ())):
                return True
    return False
