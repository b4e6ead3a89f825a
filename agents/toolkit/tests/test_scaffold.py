"""A new agent is complete: its own tests pass, it is formatted, linted and typed as it stands, and it is found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from headgate_agent_toolkit.scaffold import LONGEST_NAME, check_name, create_agent_package
from headgate_agent_toolkit.scaffold.cli import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
LONG = "a-very-long-name-for-an-agent-01"


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - commands of this file
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace as this one, without its members."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


@pytest.mark.parametrize("name", ["shop", LONG])
def test_a_new_agent_passes_its_own_tests_and_the_workspace_s_lints(workspace: Path, name: str) -> None:
    result = CliRunner().invoke(app, [name, "--into", str(workspace / "agents"), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    folder = workspace / "agents" / name
    assert {Path(path) for path in document["files"]} == {path for path in folder.rglob("*") if path.is_file()}
    checks = {
        "tests": run(
            workspace, "pytest", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath={folder / 'src'}", str(folder)
        ),
        "format": run(workspace, "ruff", "format", "--no-cache", "--check", "."),
        "lint": run(workspace, "ruff", "check", "--no-cache", "."),
    }
    assert {what: done.stdout + done.stderr for what, done in checks.items() if done.returncode} == {}


def test_a_new_agent_is_typed_and_installable_and_found(workspace: Path) -> None:
    folder, site = workspace / "agents" / "shop", workspace / "site"
    create_agent_package("shop", folder)
    cache = str(ROOT / ".mypy_cache")
    typed = run(workspace, "mypy", "--cache-dir", cache, str(folder / "src"), MYPYPATH=str(folder / "src"))
    assert typed.returncode == 0, typed.stdout
    alone = workspace / "elsewhere" / "shop"
    create_agent_package("shop", alone)
    where = ("--python", sys.executable, "--target", str(site))
    done = run(workspace, "uv", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", *where, str(alone))
    assert done.returncode == 0, done.stderr
    program = "from importlib.metadata import entry_points as e; print(*sorted(e(group='headgate.agents').names))"
    found = subprocess.run(  # noqa: S603 - fixed
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "shop" in found.stdout.split()


def test_sources_of_the_workspace_are_named_inside_of_one_only(workspace: Path) -> None:
    create_agent_package("shop", workspace / "agents" / "shop")
    create_agent_package("shop", workspace / "elsewhere" / "shop")
    inside = (workspace / "agents/shop/pyproject.toml").read_text("utf-8")
    outside = (workspace / "elsewhere/shop/pyproject.toml").read_text("utf-8")
    assert "headgate-schemas = { workspace = true }" in inside
    assert "workspace" not in outside


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    kept = tmp_path / "shop" / "mine.txt"
    kept.write_text("mine", "utf-8")
    result = CliRunner().invoke(app, ["shop", "--into", str(tmp_path)])
    assert result.exit_code == 1
    assert "is there already and stays as it is" in result.output
    assert [*(tmp_path / "shop").iterdir()] == [kept]


@pytest.mark.parametrize(
    "name", ["Shop", "1st", "a_b", "a--b", "-a", "a-", "", "a/b", "\u00e4gent", "x" * (LONGEST_NAME + 1)]
)
def test_a_name_that_is_none_is_refused_and_an_example_given(name: str) -> None:
    with pytest.raises(ValueError, match="such as card-testing"):
        check_name(name)


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    for name, why in {"risk": "already", "toolkit": "package that agents use"}.items():
        result = CliRunner().invoke(app, [name, "--into", str(tmp_path)])
        assert result.exit_code == 2
        assert why in " ".join(result.output.replace("\u2502", " ").split())
    assert list(tmp_path.iterdir()) == []
    check_name(LONG)


def test_the_command_is_contributed_beside_others_about_agents() -> None:
    (found,) = entry_points(group="headgate.agent_commands", name="new")
    assert found.load() is app
