"""The commands of ``headgate topics``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_schemas import Contracts

from headgate_admin.config import load_settings
from headgate_admin.options import BootstrapServers, ContractsDir, DryRun, Json, ReplicationFactor  # noqa: TC001  # typer reads them
from headgate_admin.output import ExitCode, Output, reporting, table_of
from headgate_admin.times import readable_span
from headgate_admin.topics.acl_cli import app as acl_app
from headgate_admin.topics.losses import Losses
from headgate_admin.topics.plan import Refusal, TopicChange, apply_topics, document_of, plan_topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headgate_schemas import TopicContract

    from headgate_admin.config import AdminSettings

app = typer.Typer(help="The cluster's topics as their contracts want them.", no_args_is_help=True)
app.add_typer(acl_app, name="acls")

Force = Annotated[bool, typer.Option("--force", help="Also where that deletes records.")]


def connect(settings: AdminSettings) -> KafkaAdmin:
    """The cluster's administration at the settings' address."""
    return KafkaAdmin(settings.kafka)


@app.command("list")
def list_topics(*, contracts: ContractsDir = None, json: Json = False) -> None:
    """List the topics of the contracts; asks no broker."""
    with reporting(as_json=json) as output:
        topics = Contracts.load(load_settings(contracts=contracts).contracts_dir).topics.values()
        rows = [
            (
                topic.topic,
                topic.record,
                topic.owner,
                topic.partitions,
                readable_span(topic.retention_ms),
                topic.cleanup_policy,
            )
            for topic in topics
        ]
        columns = ("topic", "record", "owner", "partitions", "kept", "clean-up")
        documents = [topic.model_dump(mode="json", exclude={"rules"}) for topic in topics]
        output.result({"topics": documents}, f"{len(rows)} topics", table_of(columns, rows))


@app.command()
def diff(*, contracts: ContractsDir = None, bootstrap_servers: BootstrapServers = None, json: Json = False) -> None:
    """Show what ``apply`` would change; exit code 1 where something would."""
    with reporting(as_json=json) as output:
        settings = load_settings(contracts=contracts, bootstrap_servers=bootstrap_servers)
        desired = Contracts.load(settings.contracts_dir).topics.values()
        changes = _plan(settings, desired, _ask(settings, output), force=False)
        _show(output, changes, f"{len(changes)} differences" if changes else "no difference", applied=False)
        if changes:
            raise typer.Exit(ExitCode.REFUSED)


@app.command()
def apply(
    *,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    replication_factor: ReplicationFactor = None,
    force: Force = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Create topics, add partitions, set retention and clean-up. Harmless when repeated.

    No topic is deleted, and what would delete records is refused. The setting HEADGATE_ADMIN_MIN_INSYNC_REPLICAS is applied to all topics.
    """
    with reporting(as_json=json) as output:
        settings = load_settings(
            contracts=contracts, bootstrap_servers=bootstrap_servers, replication_factor=replication_factor
        )
        desired = tuple(Contracts.load(settings.contracts_dir).topics.values())
        cluster = _ask(settings, output)
        changes = _plan(settings, desired, cluster, force=force)
        refused = [change for change in changes if isinstance(change, Refusal)]
        if refused:
            _show(output, changes, "nothing was changed: see what is refused", applied=False)
            raise typer.Exit(ExitCode.REFUSED)
        if changes and not dry_run:
            apply_topics(desired, changes, cluster, settings.replication_factor, settings.min_insync_replicas)
        done = "would be made" if dry_run else "made"
        _show(output, changes, f"{len(changes)} changes {done}" if changes else "no change", applied=not dry_run)


def _plan(
    settings: AdminSettings, desired: Iterable[TopicContract], cluster: KafkaAdmin, *, force: bool
) -> list[TopicChange]:
    losses = None if force else Losses(cluster, time.time_ns() // 1_000_000).of
    return plan_topics(desired, cluster.topics(), min_insync=settings.min_insync_replicas, losses=losses)


def _ask(settings: AdminSettings, output: Output) -> KafkaAdmin:
    output.note(f"Kafka at {settings.origin(settings.kafka.bootstrap_servers)}")
    return connect(settings)


def _show(output: Output, changes: Sequence[TopicChange], summary: str, *, applied: bool) -> None:
    rows = [(change.topic, change.action, change.describe()) for change in changes]
    document = {"applied": applied, "changes": [document_of(change) for change in changes]}
    output.result(document, summary, table_of(("topic", "change", "what"), rows))
