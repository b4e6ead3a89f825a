"""``headgate erase``: the right to erasure."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer
from headgate_runtime.errors import ConfigurationError, HeadgateError
from headgate_schemas import Contracts

from headgate_admin.config import load_settings
from headgate_admin.options import BootstrapServers, ContractsDir, DryRun, Json, Yes  # noqa: TC001  # typer reads them
from headgate_admin.output import ExitCode, reporting

if TYPE_CHECKING:
    from headgate_admin.erasure.report import Account

app = typer.Typer(add_completion=False)


@app.command()
def erase(
    *,
    user: Annotated[str, typer.Option(help="Key of the person's events: the user's id.")],
    operator: Annotated[str | None, typer.Option("--by", help="Who erases [HEADGATE_ADMIN_OPERATOR].")] = None,
    enricher: Annotated[
        list[str] | None,
        typer.Option(help="Address of a replica of the enricher, each of them [HEADGATE_ADMIN_ENRICHERS, JSON]."),
    ] = None,
    wait_s: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for the writer to have stored all there is.")
    ] = 60,
    dry_run: DryRun = False,
    yes: Yes = False,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    json: Json = False,
) -> None:
    """Erase a person: states, tables, and the snapshots that held the rows; says what is left and until when.

    Stop the source of the person's events first. Services go on meanwhile. Run it again as often as you like: exit code
    1 says that something is left which another run, or you, can take away.
    """
    with reporting(as_json=json) as output:
        from headgate_admin.erasure.erasing import Erasure  # noqa: PLC0415 - its libraries take a second to import
        from headgate_admin.erasure.subject import Subject, read_pii_key  # noqa: PLC0415 - see above

        settings = load_settings(
            contracts=contracts, bootstrap_servers=bootstrap_servers, operator=operator, enrichers=enricher
        )
        if not user:
            raise ConfigurationError("--user is empty: name the key of the person's events.")
        if not dry_run and settings.operator is None:
            raise ConfigurationError("Say who erases: --by NAME, or HEADGATE_ADMIN_OPERATOR.")
        output.note(f"Kafka at {settings.origin(settings.kafka.bootstrap_servers)}")
        subject = Subject(user, read_pii_key(settings.pii_key_file))
        erasure = Erasure(settings, Contracts.load(settings.contracts_dir), subject, wait_s)
        if not dry_run:
            output.confirm("Erase this person? There is no way back.", lambda: None, yes=yes)
        said = {"subject": subject.fingerprint, "operator": settings.operator}
        try:
            account = erasure.run(dry_run=dry_run)
        except HeadgateError as error:
            _audit("failed", dry_run=dry_run, error=type(error).__name__, **said)
            raise
        _audit("incomplete" if account.problems else "done", dry_run=dry_run, **_figures(account), **said)
        output.results(account.document(), account.parts())
        if account.problems:
            raise typer.Exit(ExitCode.REFUSED)


def _figures(account: Account) -> dict[str, int]:
    return {
        "rows": sum(table.erased for table in account.tables),
        "snapshots": sum(table.snapshots for table in account.tables),
        "states": sum(state.forgotten + state.buried for state in account.states),
    }


def _audit(outcome: str, *, dry_run: bool, **details: Any) -> None:
    """Write an audit line as the services do, to standard error; it names the person by a digest alone."""
    if dry_run:
        return
    line = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.JSONRenderer(),
        ],
    )
    line.info("control", action="erase", outcome=outcome, **details)
