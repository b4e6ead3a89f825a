"""``headgate agent new``: begin an agent of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from headgate_agent_toolkit.scaffold import ScaffoldError, check_name, create_agent_package

app = typer.Typer(add_completion=False)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The agent's name, such as card-testing.")],
    into: Annotated[Path, typer.Option(help="Folder the agent's folder is made in.")] = Path("agents"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Make a complete small agent: rules, prompt, graph, golden set, tests, stand-in. Exits 1 where one is in the way."""
    try:
        check_name(name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from None
    folder = into / name
    try:
        written = create_agent_package(name, folder)
    except ScaffoldError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    following = [
        f"uv pip install -e {folder}",
        f"python -m pytest {folder}",
        f"HEADGATE_ENRICHER_AGENTS='{json.dumps({name: ['*']})}' headgate demo run",
    ]
    if as_json:
        typer.echo(json.dumps({"agent": name, "files": [str(path) for path in written], "next": following}, indent=2))
        return
    typer.echo(f"Agent {name}: {len(written)} files in {folder}. Next:")
    for command in following:
        typer.echo(f"  {command}")
