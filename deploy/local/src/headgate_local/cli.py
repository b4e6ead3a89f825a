"""``headgate local``: the platform on this machine, without Docker."""

from __future__ import annotations

import json as jsonlib
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from headgate_runtime.errors import HeadgateError
from rich.console import Console
from rich.table import Table

from headgate_local import background, lock
from headgate_local.config import LocalSettings
from headgate_local.installation import install
from headgate_local.maven import MavenCentral
from headgate_local.progress import PlainProgress, TerminalProgress
from headgate_local.status import status as read_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headgate_local.endpoints import Endpoints
    from headgate_local.status import Status

app = typer.Typer(
    help="Run Headgate on this machine: real Kafka, a real registry, no Docker. Exit codes: 0 done; 1 failed; 2 usage.",
    no_args_is_help=True,
)

Folder = Annotated[
    Path | None, typer.Option(help="Folder of endpoints.json and the data [HEADGATE_LOCAL_DIR or build/local].")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Services = Annotated[bool, typer.Option(help="Run the services too, not only the stack.")]


@app.command()
def up(folder: Folder = None, services: Services = True, json: Json = False) -> None:
    """Start everything in the background; returns when all is ready. Harmless when it is up."""
    console = Console(stderr=True)
    with _errors(console):
        # in the foreground, where a terminal can show how a first download goes
        progress = TerminalProgress(console) if console.is_terminal else PlainProgress(sys.stderr)
        install(LocalSettings().cache, progress)
        endpoints = background.start(_folder(folder), services=services, say=progress.say)
    _print(endpoints, json=json)


@app.command()
def down(folder: Folder = None, json: Json = False) -> None:
    """Stop everything cleanly; data stays for the next start."""
    console = Console(stderr=True)
    with _errors(console):
        stopped = background.stop(_folder(folder))
    if json:
        typer.echo(jsonlib.dumps({"stopped": stopped}))
    else:
        console.print("stopped" if stopped else "nothing was running")


@app.command()
def status(folder: Folder = None, json: Json = False) -> None:
    """Show what runs."""
    with _errors(Console(stderr=True)):
        found = read_status(_folder(folder))
    if json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        _print_status(found)


@app.command("lock")
def make_lock(json: Json = False) -> None:
    """Make the lock of the downloaded artifacts anew (developers; needs Maven on the PATH)."""
    console = Console(stderr=True)
    with _errors(console):
        text = lock.make_lock(MavenCentral())
    lock.lock_path().write_text(text, encoding="utf-8")
    artifacts = len(text.splitlines()) - 1
    if json:
        typer.echo(jsonlib.dumps({"artifacts": artifacts, "path": str(lock.lock_path())}))
    else:
        console.print(f"{artifacts} artifacts in {lock.lock_path()}")


@app.command(hidden=True)
def supervise(folder: Folder = None, services: Services = True) -> None:
    """Run everything in this process until it is told to end (what ``up`` starts)."""
    with _errors(Console(stderr=True)):
        background.supervise(_folder(folder), services=services)


def _folder(given: Path | None) -> Path:
    return (LocalSettings().local_dir if given is None else given).absolute()


@contextmanager
def _errors(console: Console) -> Iterator[None]:
    try:
        yield
    except HeadgateError as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(1) from None


def _print(endpoints: Endpoints, *, json: bool) -> None:
    if json:
        typer.echo(endpoints.model_dump_json(indent=2))
        return
    table = Table("what", "where", show_header=False, box=None)
    table.add_row("Kafka", endpoints.bootstrap_servers)
    table.add_row("schema registry", endpoints.registry_url)
    table.add_row("Bedrock (local)", endpoints.bedrock_url)
    table.add_row("Iceberg catalog", endpoints.catalog["uri"])
    for name, url in endpoints.services.items():
        table.add_row(name, url)
    table.add_row("control token", str(endpoints.control_token_file))
    Console().print(table)


def _print_status(found: Status) -> None:
    console = Console()
    console.print("up" if found.up else "not up", style="green" if found.up else "yellow")
    table = Table("process", "pid", "memory", "up for", "state")
    for process in found.processes:
        table.add_row(
            process.name,
            str(process.pid or "-"),
            f"{process.rss_bytes / 1e6:.0f} MB",
            f"{process.uptime_s:.0f} s",
            process.problem or "ok",
        )
    if found.processes:
        console.print(table)
    if found.endpoints is not None:
        _print(found.endpoints, json=False)
