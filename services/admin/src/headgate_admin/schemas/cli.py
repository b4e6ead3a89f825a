"""The commands of ``headgate schemas``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts, check_contracts

from headgate_admin.config import load_settings
from headgate_admin.options import ContractsDir, DryRun, Json, RegistryUrl  # noqa: TC001  # typer reads them
from headgate_admin.output import ExitCode, reporting, table_of
from headgate_admin.schemas.plan import apply_subjects, document_of, field_changes, plan_subjects, read_subjects

if TYPE_CHECKING:
    from headgate_runtime.registry import SchemaRegistry

    from headgate_admin.config import AdminSettings

app = typer.Typer(help="Check contracts and bring their records into the registry.", no_args_is_help=True)


def connect(settings: AdminSettings) -> SchemaRegistry:
    """The schema registry at the settings' address."""
    return ConfluentRegistry(settings.registry)


@app.command()
def check(*, contracts: ContractsDir = None, json: Json = False) -> None:
    """Check all contracts: Avro, docs, compatibility of versions, topics, rules, examples. Asks no registry."""
    with reporting(as_json=json) as output:
        loaded = Contracts.load(load_settings(contracts=contracts).contracts_dir)
        problems = check_contracts(loaded)
        if problems:
            output.error(problems)
            raise typer.Exit(ExitCode.REFUSED)
        counts = {
            "records": len(loaded.records),
            "versions": sum(len(loaded.versions(name)) for name in loaded.records),
            "topics": len(loaded.topics),
            "rules": sum(len(topic.rules) for topic in loaded.topics.values()),
            "examples": sum(len(loaded.examples(name)) for name in loaded.records),
        }
        summary = ", ".join(f"{count} {what}" for what, count in counts.items())
        output.result({"directory": str(loaded.directory), **counts, "errors": []}, f"{summary}: no problem")


@app.command("list")
def list_schemas(*, contracts: ContractsDir = None, json: Json = False) -> None:
    """List the records of the contracts, every version; asks no registry."""
    with reporting(as_json=json) as output:
        loaded = Contracts.load(load_settings(contracts=contracts).contracts_dir)
        records = [record for name in loaded.records for record in loaded.versions(name)]
        carried = {name: [t.topic for t in loaded.topics.values() if t.record == name] for name in loaded.records}
        documents = [
            {
                "record": record.name,
                "version": record.version,
                "fields": len(field_changes(None, record)),
                "pii": dict(record.pii),
                "topics": carried[record.name],
            }
            for record in records
        ]
        rows = [
            (record.name, record.version, "\n".join(record.pii), "\n".join(carried[record.name])) for record in records
        ]
        columns = ("record", "version", "personal data", "topics")
        output.result({"records": documents}, f"{len(documents)} schemas", table_of(columns, rows))


@app.command()
def register(
    *,
    contracts: ContractsDir = None,
    registry_url: RegistryUrl = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Register every version of each topic's record and set the subject's compatibility. Harmless when repeated."""
    with reporting(as_json=json) as output:
        settings = load_settings(contracts=contracts, registry_url=registry_url)
        loaded = Contracts.load(settings.contracts_dir)
        output.note(f"schema registry at {settings.origin(settings.registry.url)}")
        registry = connect(settings)
        changes = plan_subjects(loaded, read_subjects(loaded, registry))
        if not dry_run:
            apply_subjects(changes, registry)
        rows = [(change.subject, change.action, change.describe()) for change in changes]
        done = "would be made" if dry_run else "made"
        document = {"applied": not dry_run, "changes": [document_of(change) for change in changes]}
        summary = f"{len(changes)} changes {done}" if changes else "no change"
        output.result(document, summary, table_of(("subject", "change", "what"), rows))
