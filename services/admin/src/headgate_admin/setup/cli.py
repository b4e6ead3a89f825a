"""The command ``headgate setup``."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

from headgate_admin.config import load_settings
from headgate_admin.options import BootstrapServers, ContractsDir, Json, RegistryUrl, ReplicationFactor  # noqa: TC001  # typer reads them
from headgate_admin.output import reporting, table_of
from headgate_admin.patience import patiently
from headgate_admin.schemas.plan import document_of as subject_document
from headgate_admin.setup.steps import set_subjects, set_topics, table_maker
from headgate_admin.tables.lakehouse import require_catalog
from headgate_admin.topics.plan import document_of as topic_document

if TYPE_CHECKING:
    from headgate_runtime.registry import SchemaRegistry

    from headgate_admin.config import AdminSettings
    from headgate_admin.setup.steps import CreateTables

app = typer.Typer(add_completion=False)


def connect(settings: AdminSettings) -> tuple[KafkaAdmin, SchemaRegistry, CreateTables]:
    """Connections to the addresses of the settings, and what makes tables."""
    return KafkaAdmin(settings.kafka), ConfluentRegistry(settings.registry), table_maker()


@app.command()
def setup(
    *,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait for brokers, registry and catalog.")
    ] = 120,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    replication_factor: ReplicationFactor = None,
    json: Json = False,
) -> None:
    """Make everything that services need: topics, schemas, tables. Waits for what is not up yet; harmless when repeated."""
    with reporting(as_json=json) as output:
        settings = load_settings(
            contracts=contracts,
            bootstrap_servers=bootstrap_servers,
            registry_url=registry_url,
            replication_factor=replication_factor,
        )
        known = Contracts.load(settings.contracts_dir)
        catalog = require_catalog(settings.catalog)
        cluster, registry, create_tables = connect(settings)
        output.note(
            f"Kafka at {settings.origin(settings.kafka.bootstrap_servers)}, registry at {settings.registry.url}"
        )
        deadline_s = time.monotonic() + wait_s
        topics = patiently(partial(set_topics, known, cluster, settings), deadline_s, output.note)
        subjects = patiently(partial(set_subjects, known, registry), deadline_s, output.note)
        tables = patiently(partial(create_tables, known, catalog), deadline_s, output.note)
        output.result(
            {
                "topics": [topic_document(change) for change in topics],
                "schemas": [subject_document(change) for change in subjects],
                "tables": list(tables),
            },
            f"{len(topics)} changes of topics and {len(subjects)} of schemas made; {len(tables)} tables are there",
            table_of(
                ("what", "change"),
                [
                    *((change.topic, change.action) for change in topics),
                    *((change.subject, change.action) for change in subjects),
                    *((table, "is there") for table in tables),
                ],
            ),
        )
