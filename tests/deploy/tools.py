"""The tools that the parts of a deployment are checked with: where they are, and what they say."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "build" / "tools"
DEPLOY_BIN = ROOT / "build" / "deploy-venv" / "bin"
TAIL_CHARS = 4000


class ToolError(Exception):
    """A tool is missing, or does not take what it was given; the text says what to do, or what it said."""


def tool(path: Path) -> str:
    """A tool that ``make tools`` brings.

    Raises:
        ToolError: It is not there.
    """
    if not path.exists():
        raise ToolError(f"{path} is not there: run `make tools`")
    return str(path)


def run(
    *command: str | Path,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 900,
    codes: Sequence[int] = (0,),
) -> str:
    """Run a program and return what it prints.

    Raises:
        ToolError: It is not there, takes too long, or ends with another code than these; holds the end of what it said.
    """
    words = [*map(str, command)]
    try:
        done = subprocess.run(
            words, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except FileNotFoundError as error:
        raise ToolError(f"{words[0]} is not there: install it, or run `make tools`") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{' '.join(words)} has not ended after {timeout_s:.0f} s") from error
    if done.returncode not in codes:
        said = (done.stdout + done.stderr)[-TAIL_CHARS:].strip()
        raise ToolError(f"{' '.join(words)} ended with code {done.returncode}:\n{said}")
    return done.stdout
