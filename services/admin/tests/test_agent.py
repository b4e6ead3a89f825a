"""``headgate agent``: commands from several packages, and the evaluation of the agent that is named."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest
from headgate_admin.agent import cli, evaluation
from headgate_admin.main import make_app
from headgate_admin.plugins import installed, make_group
from typer.testing import CliRunner

if TYPE_CHECKING:
    from pathlib import Path

EVALUATION = """
import typer

app = typer.Typer()


@app.command()
def evaluate(only: str = "all", quick: bool = False) -> None:
    typer.echo(f"only {only}, quick {quick}")
    raise typer.Exit(1)
"""


@pytest.fixture
def _offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "headgate_test_evaluation.py").write_text(EVALUATION)
    monkeypatch.syspath_prepend(tmp_path)
    offer = EntryPoint("mine", "headgate_test_evaluation:app", evaluation.GROUP)
    monkeypatch.setattr(evaluation, "installed", lambda _: (offer,))


@pytest.mark.usefixtures("_offered")
def test_the_named_agents_evaluation_gets_what_else_was_said_and_gives_its_exit_code() -> None:
    result = CliRunner().invoke(make_app(), ["agent", "eval", "--only", "floors", "--agent", "mine", "--quick"])
    assert (result.exit_code, result.stdout) == (1, "only floors, quick True\n")


@pytest.mark.usefixtures("_offered")
def test_help_is_that_of_the_agents_evaluation() -> None:
    result = CliRunner().invoke(make_app(), ["agent", "eval", "--agent", "mine", "--help"])
    assert result.exit_code == 0
    assert "headgate agent eval --agent mine" in result.stdout
    assert "--quick" in result.stdout


@pytest.mark.usefixtures("_offered")
def test_an_agent_without_an_evaluation_is_wrong_usage_and_those_that_have_one_are_named() -> None:
    result = CliRunner().invoke(make_app(), ["agent", "eval", "--agent", "other"])
    assert result.exit_code == 2
    assert "No evaluation of an agent 'other' (found: mine)" in result.stderr


def test_other_packages_add_commands_to_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "headgate_test_new.py").write_text(EVALUATION)
    monkeypatch.syspath_prepend(tmp_path)
    offers = [*installed(cli.GROUP), EntryPoint("more", "headgate_test_new:app", cli.GROUP)]
    listing = CliRunner().invoke(make_group("headgate agent", lambda: offers, description="Agents."), ["--help"])
    assert (listing.exit_code, "eval" in listing.stdout, "more" in listing.stdout) == (0, True, True)
