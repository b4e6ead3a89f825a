"""``headgate demo``: the whole pipeline on real data, and a look at what it left."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import Annotated

import typer
from headgate_runtime.errors import HeadgateError
from rich.console import Console
from rich.table import Table

from headgate_local.demo.query import query as run_query
from headgate_local.demo.run import SOURCE_TOPIC, DemoOptions, DemoRun, write_report
from headgate_local.demo.site import GivenSite, OwnSite
from headgate_local.endpoints import Endpoints
from headgate_local.figures import write_figures
from headgate_local.folder import StackError
from headgate_local.lake import Lake
from headgate_local.progress import PlainProgress, TerminalProgress
from headgate_local.security import Security

app = typer.Typer(
    help="The whole pipeline on real data, checked row by row. Exit codes: 0 exact; 1 anything else; 2 wrong usage.",
    no_args_is_help=True,
)
FOLDER = Path("build/demo")

Folder = Annotated[Path, typer.Option(help="Where the run's data and report.json go; emptied at the start.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def run(
    events: Annotated[int, typer.Option(min=100, help="Events to send.")] = DemoOptions.events,
    rate: Annotated[float, typer.Option(min=1, help="Events a second.")] = DemoOptions.rate,
    chaos: Annotated[bool, typer.Option(help="Kill the enricher and the writer three times each.")] = False,
    *,
    lake: Annotated[Lake, typer.Option(help="Where the tables of a platform started here are.")] = Lake.FILES,
    security: Annotated[
        Security, typer.Option(help="Who may connect to Kafka and the registry of a platform started here.")
    ] = Security.PLAIN,
    endpoints: Annotated[
        Path | None, typer.Option(help="endpoints.json of a platform that runs already; else one is started.")
    ] = None,
    folder: Folder = FOLDER,
    json: Json = False,
) -> None:
    """Run it; exits 1 when anything is lost, doubled or wrong."""
    console = Console(stderr=json)
    options = DemoOptions(events=events, rate=rate, chaos=chaos)
    progress = TerminalProgress(console) if console.is_terminal else PlainProgress(sys.stderr)
    try:
        site = (
            OwnSite(folder.absolute(), progress, lake=lake, security=security)
            if endpoints is None
            else _given(endpoints)
        )
        report = DemoRun(options, folder.absolute(), site, progress.say).execute()
    except HeadgateError as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(1) from None
    path = write_report(report, folder)
    write_figures("chaos" if chaos else "demo", "pipeline", report.figures(), root=Path.cwd())
    if json:
        typer.echo(jsonlib.dumps(report.as_json(), indent=2))
    else:
        console.print(report.as_table())
        console.print(report.summary(), style="red" if report.faults else "green")
        console.print(f"written to {path}", style="dim")
        if endpoints is None:
            console.print(_next_steps(), soft_wrap=True, highlight=False, markup=False)
    raise typer.Exit(1 if report.faults else 0)


@app.command()
def query(
    sql: Annotated[
        str, typer.Argument(help="One SELECT; the demo's table is `events`, and `events_latest` what holds now.")
    ],
    folder: Folder = FOLDER,
    json: Json = False,
) -> None:
    """Ask the table the last demo left, in DuckDB's SQL."""
    try:
        columns, rows = run_query(sql, folder.absolute())
    except HeadgateError as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(1) from None
    if json:
        typer.echo(jsonlib.dumps(rows, default=str, indent=2))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def _given(path: Path) -> GivenSite:
    found = Endpoints.read_file(path)
    if found is None:
        raise StackError(f"{path} is not there: name the endpoints.json of a platform that runs")
    return GivenSite(found, SOURCE_TOPIC)


def _next_steps() -> str:
    ask = "SELECT agent_metadata.tier, count(*) AS events FROM events GROUP BY ALL"
    return f"""
Three things to try:

1. Ask the table.
   .venv/bin/headgate demo query "{ask}"

2. Inject a bad event, and read why it is refused.
   make up
   echo '{{}}' > bad.jsonl
   .venv/bin/headgate produce replay bad.jsonl; cat build/producer/rejects.jsonl

3. Kill a service (make status shows process ids), and see it come back with nothing lost.
   make status; kill -9 <pid of enricher-0>; make status"""
