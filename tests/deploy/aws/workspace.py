"""A copy of deploy/terraform to run Terraform in: the tree itself gets no state, lock or provider."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from headgate_local.config import inherited_environment
from rich.console import Console

from tests.deploy.tools import ROOT, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WORK = ROOT / "build" / "terraform"
TIMEOUT_S = 600
COPIED = ("deploy/terraform", "schemas/avro", "schemas/topics", "services/admin/pyproject.toml")


def copy() -> Path:
    """Copy what Terraform reads, and return the root module's folder in the copy."""
    tree = WORK / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for name in COPIED:
        source, target = ROOT / name, tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars"))
        else:
            shutil.copy(source, target)
    return tree / "deploy" / "terraform"


def modules(root: Path) -> list[Path]:
    """The root module and those below it."""
    return [root, *sorted(path for path in (root / "modules").iterdir() if path.is_dir())]


def say(text: str) -> None:
    """Print what was found, as it is."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def clean(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> bool:
    """Whether a command finds nothing; what it says otherwise is printed."""
    done = run(command, folder, environment)
    if done.returncode != 0:
        say(f"$ {' '.join(command)}  # in {folder.relative_to(ROOT)}\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def run(
    command: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command; Terraform keeps providers for all modules in one place and asks nobody for newer versions of itself.

    Raises:
        ToolError: The program is not installed.
    """
    (plugins := WORK / "plugins").mkdir(parents=True, exist_ok=True)
    own = {
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_PLUGIN_CACHE_DIR": str(plugins),
        "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1",  # a copy has no lock to keep
    }
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=inherited_environment() | own | dict(environment or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except FileNotFoundError as error:
        raise ToolError(f"{command[0]} is not there: put it on the PATH") from error
