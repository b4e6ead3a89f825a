from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest
import typer
from headgate_admin.main import GROUP, make_app
from headgate_admin.plugins import installed
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]

PLUGINS = """
import typer

app = typer.Typer(help="Works well.")


@app.command()
def greet(name: str) -> None:
    typer.echo(f"hello {name}")


@app.command()
def leave() -> None:
    raise typer.Exit(7)


single = typer.Typer()


@single.command()
def only(count: int = 1) -> None:
    typer.echo(f"counted {count}")


unreadable = typer.Typer()


@unreadable.command()
def read(value: "NoSuchType") -> None:
    pass


not_an_app = 3
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "headgate_test_plugins.py").write_text(PLUGINS)
    (tmp_path / "headgate_test_broken.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("headgate_test_plugins", "headgate_test_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def invoke(*arguments: str, **offers: str) -> Result:
        entry_points = [EntryPoint(name, value, GROUP) for name, value in offers.items()]
        return CliRunner().invoke(make_app(lambda: entry_points), list(arguments))

    return invoke


GOOD = "headgate_test_plugins:app"


def test_a_plugins_commands_are_run_with_its_exit_codes(run: Run) -> None:
    assert run("good", "greet", "Ada", good=GOOD).stdout == "hello Ada\n"
    assert run("good", "leave", good=GOOD).exit_code == 7


def test_a_plugin_of_one_command_is_that_command(run: Run) -> None:
    assert run("count", "--count", "3", count="headgate_test_plugins:single").stdout == "counted 3\n"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("headgate_test_broken:app", "headgate_test_broken:app cannot be loaded: RuntimeError: no licence"),
        ("headgate_test_missing:app", "cannot be loaded: ModuleNotFoundError: No module named 'headgate_test_missing'"),
        ("headgate_test_plugins:other", "cannot be loaded: AttributeError"),
        ("headgate_test_plugins:unreadable", "cannot be loaded: NameError: name 'NoSuchType' is not defined"),
        ("headgate_test_plugins:not_an_app", "headgate_test_plugins:not_an_app is a int, no typer.Typer"),
    ],
)
def test_a_broken_plugin_says_why_and_leaves_the_others_alone(run: Run, value: str, reason: str) -> None:
    broken = run("broken", "some", "--thing", good=GOOD, broken=value)
    assert broken.exit_code == 2
    assert reason in broken.stderr
    assert run("good", "greet", "Ada", good=GOOD, broken=value).exit_code == 0
    listing = run("--help", good=GOOD, broken=value)
    assert listing.exit_code == 0
    assert "Works well." in listing.stdout
    assert "Not available" in listing.stdout


def test_other_plugins_are_not_loaded_when_one_is_used(run: Run) -> None:
    assert run("good", "greet", "Ada", good=GOOD, broken="headgate_test_broken:app").exit_code == 0
    assert "headgate_test_broken" not in sys.modules


def test_a_name_offered_twice_is_refused() -> None:
    offers = [EntryPoint("same", "a:app", GROUP), EntryPoint("same", "b:app", GROUP)]
    result = CliRunner().invoke(make_app(lambda: offers), ["same"])
    assert result.exit_code == 2
    assert "several packages offer it: a:app, b:app" in result.stderr


def test_an_unknown_command_is_wrong_usage(run: Run) -> None:
    assert run("nothing", good=GOOD).exit_code == 2


def test_the_installed_command_line_has_its_own_groups() -> None:
    assert {"agent", "schemas", "topics"} <= {offer.name for offer in installed(GROUP)}
    assert all(
        isinstance(offer.load(), typer.Typer) for offer in installed(GROUP) if offer.value.startswith("headgate_admin")
    )
    result = CliRunner().invoke(make_app(), ["schemas", "check"])
    assert (result.exit_code, "no problem" in result.stdout) == (0, True)
