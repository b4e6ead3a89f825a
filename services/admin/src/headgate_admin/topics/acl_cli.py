"""The commands of ``headgate topics acls``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from headgate_runtime.kafka.acls import KafkaAcls
from headgate_schemas import Contracts

from headgate_admin.config import load_settings
from headgate_admin.options import BootstrapServers, ContractsDir, DryRun, Json  # noqa: TC001  # typer reads them
from headgate_admin.output import ExitCode, Output, reporting, table_of
from headgate_admin.topics.acls import apply_acls, plan_acls, services_of, wanted_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_admin.config import AdminSettings
    from headgate_admin.topics.acls import AclChange

app = typer.Typer(
    help="Who may read and write: the brokers' access rules as the contracts want them. Amazon MSK with IAM ignores them.",
    no_args_is_help=True,
)


def connect(settings: AdminSettings) -> KafkaAcls:
    """The cluster's access rules at the settings' address."""
    return KafkaAcls(settings.kafka)


@app.command()
def diff(*, contracts: ContractsDir = None, bootstrap_servers: BootstrapServers = None, json: Json = False) -> None:
    """Show what ``apply`` would change; exit code 1 where something would."""
    with reporting(as_json=json) as output:
        settings = load_settings(contracts=contracts, bootstrap_servers=bootstrap_servers)
        _, changes = _plan(settings, output)
        _show(output, changes, f"{len(changes)} differences" if changes else "no difference", applied=False)
        if changes:
            raise typer.Exit(ExitCode.REFUSED)


@app.command()
def apply(
    *,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Allow each service what the contracts say, and take back what else it may. Harmless when repeated.

    Other principals and rules that forbid are left alone. The first time somebody has to do this who may alter the
    cluster; from then on the service ``admin`` may.
    """
    with reporting(as_json=json) as output:
        settings = load_settings(contracts=contracts, bootstrap_servers=bootstrap_servers)
        cluster, changes = _plan(settings, output)
        if not dry_run:
            apply_acls(changes, cluster.add, cluster.remove)
        done = "would be made" if dry_run else "made"
        _show(output, changes, f"{len(changes)} changes {done}" if changes else "no change", applied=not dry_run)


def _plan(settings: AdminSettings, output: Output) -> tuple[KafkaAcls, list[AclChange]]:
    topics = Contracts.load(settings.contracts_dir).topics.values()
    output.note(f"Kafka at {settings.origin(settings.kafka.bootstrap_servers)}")
    cluster = connect(settings)
    principals = [settings.principal.format(service=service) for service in services_of(topics)]
    return cluster, plan_acls(wanted_rules(topics, settings.principal), cluster.rules(principals))


def _show(output: Output, changes: Sequence[AclChange], summary: str, *, applied: bool) -> None:
    rows = [
        (change.rule.principal, change.action, change.rule.operation, change.rule.resource, _named(change))
        for change in changes
    ]
    document = {"applied": applied, "changes": [change.document() for change in changes]}
    output.result(document, summary, table_of(("principal", "change", "operation", "on", "name"), rows))


def _named(change: AclChange) -> str:
    return change.rule.name if change.rule.pattern == "literal" else f"{change.rule.name}*"
