"""The commands of ``headgate table``."""

from __future__ import annotations

from functools import partial
from json import dumps as json_text
from typing import TYPE_CHECKING, Annotated, Final

import typer
from headgate_runtime.errors import ConfigurationError, RejectedError
from headgate_schemas import Contracts, latest_view

from headgate_admin.config import load_settings
from headgate_admin.options import BootstrapServers, ContractsDir, DryRun, Json, Yes  # noqa: TC001  # typer reads them
from headgate_admin.output import ExitCode, Output, reporting, table_of
from headgate_admin.tables.lakehouse import load_table
from headgate_admin.tables.log import StoredLog
from headgate_admin.tables.rollback import commit_rollback, find_target, plan_rollback, with_losses
from headgate_admin.times import milliseconds

if TYPE_CHECKING:
    from headgate_admin.config import AdminSettings
    from headgate_admin.tables.rollback import Rollback

app = typer.Typer(help="The tables that topics are stored in.", no_args_is_help=True)

_NEXT: Final = (
    "A running writer finds out with its next batch, drops it, and reads again from these positions; "
    "where no records come, restart it."
)

TableName = Annotated[str, typer.Argument(help="The table, such as lakehouse.enriched_events.")]


@app.command()
def view(
    topic: Annotated[str, typer.Argument(help="The topic that is stored.")] = "enriched-events",
    *,
    contracts: ContractsDir = None,
    json: Json = False,
) -> None:
    """Print the SQL of the view of the rows that hold now; asks nobody, and runs nothing."""
    with reporting(as_json=json) as output:
        known = Contracts.load(load_settings(contracts=contracts).contracts_dir)
        contract = known.topic(topic)
        statement = latest_view(contract, known.record(contract.record))
        output.result({"topic": topic, "sql": statement}, statement)


@app.command()
def verify(
    table: TableName,
    *,
    topic: Annotated[list[str] | None, typer.Option(help="Only rows of this topic; may be repeated.")] = None,
    log: Annotated[
        bool, typer.Option("--log", help="Read topic and dead letters too, and say what each offset without a row is.")
    ] = False,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    json: Json = False,
) -> None:
    """Hold a table against its offset map, its snapshots and its files; exit code 1 where something is wrong.

    Reads the positions of all rows, a file at a time; writes nothing.
    """
    with reporting(as_json=json) as output:
        from headgate_admin.tables.verifying import (  # noqa: PLC0415 - its libraries take a second to import
            describe,
            table_of_partitions,
            verify_table,
        )

        settings = load_settings(contracts=contracts, bootstrap_servers=bootstrap_servers)
        found = verify_table(settings, table, topic or [], output, log=log)
        findings = list(found.findings())
        told = "\n".join([describe(found), *(findings or ["nothing is wrong"])])
        output.result(found.document(), told, table_of_partitions(found))
        if findings:
            raise typer.Exit(ExitCode.REFUSED)


@app.command("rollback-to")
def rollback_to(
    table: TableName,
    *,
    snapshot: Annotated[int | None, typer.Option(help="The snapshot's id.")] = None,
    tag: Annotated[str | None, typer.Option(help="Name of a tag on it.")] = None,
    at: Annotated[str | None, typer.Option(help="ISO 8601 time at which it was the head.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also where records cannot be stored again.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    bootstrap_servers: BootstrapServers = None,
    json: Json = False,
) -> None:
    """Make an earlier snapshot the head; writers read again from the positions that hold there.

    Shows first what goes, and asks. Commits by compare and swap: a writer that commits meanwhile wins.
    """
    with reporting(as_json=json) as output:
        if sum(choice is not None for choice in (snapshot, tag, at)) != 1:
            raise ConfigurationError("Say which snapshot: --snapshot, --tag or --at, one of them.")
        settings = load_settings(bootstrap_servers=bootstrap_servers)
        opened = load_table(settings.catalog, table)
        target = find_target(opened, snapshot=snapshot, tag=tag, at_ms=milliseconds(at))
        plan = _measured(plan_rollback(opened, target), settings, force=force)
        show = partial(_show, output, plan, f"{table} would be taken back")
        if dry_run:
            show()
            return
        if plan.lost and not force:
            raise RejectedError(f"{_losses(plan)}. Bring them back, take a later snapshot, or give them up: --force")
        output.confirm(f"Take {table} back to snapshot {plan.target}?", show, yes=yes)
        commit_rollback(opened, plan)
        _show(output, plan, f"{table} was taken back")
        output.note(_NEXT)
        if plan.lost:
            accepted = json_text([f"{move.name}/{move.after}" for move in plan.lost if move.after])
            output.note(
                f"{_losses(plan)}; a writer goes on without them with HEADGATE_WRITER_ACCEPTED_LOSSES='{accepted}'"
            )


def _measured(plan: Rollback, settings: AdminSettings, *, force: bool) -> Rollback:
    """The plan with what has left the log; by force also where the topics are not those that were stored."""
    try:
        begins = StoredLog(settings.kafka, plan.topics).first_offsets()
    except RejectedError:
        if not force:
            raise
        begins = {}
    return with_losses(plan, begins)


def _show(output: Output, plan: Rollback, what: str) -> None:
    rows = [(move.name, move.before, move.after, move.lost or None) for move in plan.moves]
    told = "an unknown number of rows" if plan.rows is None else f"{plan.rows:,} rows"
    summary = f"{what} from snapshot {plan.head} to {plan.target}: {plan.snapshots} snapshots and {told} go"
    output.result(plan.document(), summary, table_of(("partition", "position", "then", "left the log"), rows))


def _losses(plan: Rollback) -> str:
    return "; ".join(
        f"{move.name}: {move.lost} records from offset {move.after} on have left the log and cannot be stored again"
        for move in plan.lost
    )
