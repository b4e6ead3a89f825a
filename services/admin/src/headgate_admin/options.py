"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
ContractsDir = Annotated[
    Path | None,
    typer.Option("--contracts", help="Folder with avro/ and topics/ [HEADGATE_ADMIN_CONTRACTS_DIR, else the shipped]."),
]
BootstrapServers = Annotated[
    str | None, typer.Option("--bootstrap-servers", help="Kafka [HEADGATE_ADMIN_KAFKA__BOOTSTRAP_SERVERS].")
]
RegistryUrl = Annotated[
    str | None, typer.Option("--registry-url", help="Schema registry, Confluent API [HEADGATE_ADMIN_REGISTRY__URL].")
]
ReplicationFactor = Annotated[
    int | None,
    typer.Option(
        "--replication-factor",
        min=-1,
        help="Of topics to create; -1: the brokers' default [HEADGATE_ADMIN_REPLICATION_FACTOR].",
    ),
]
