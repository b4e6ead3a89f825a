"""The command ``headgate smoke``."""

from __future__ import annotations

import json as jsonlib
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError
from headgate_schemas import Contracts

from headgate_admin.config import load_settings
from headgate_admin.options import ContractsDir, Json  # noqa: TC001  # typer reads them
from headgate_admin.output import reporting
from headgate_admin.patience import patiently
from headgate_admin.smoke.event import ORIGIN, additions, make_event
from headgate_admin.smoke.sending import send
from headgate_admin.tables.lakehouse import find_row

if TYPE_CHECKING:
    from headgate_schemas import TopicContract

app = typer.Typer(add_completion=False)


@app.command()
def smoke(
    *,
    deadline_s: Annotated[float, typer.Option("--deadline", min=1, help="Seconds until the decision is stored.")] = 60,
    contracts: ContractsDir = None,
    json: Json = False,
) -> None:
    """Send one event to the producer and find its decision in the table; exit code 1 where it is not there in time."""
    with reporting(as_json=json) as output:
        settings = load_settings(contracts=contracts)
        known = Contracts.load(settings.contracts_dir)
        source, stored = known.topic(settings.source_topic), known.topic(settings.enriched_topic)
        began_s, now_ms = time.monotonic(), time.time_ns() // 1_000_000
        event_id = f"{ORIGIN}-{uuid.uuid4()}"
        event = make_event(known, source, event_id, now_ms)
        output.note(f"sending {event_id} to {settings.producer.url}")
        patiently(partial(send, settings.producer, event), began_s + deadline_s, output.note)
        accepted_s = time.monotonic() - began_s
        look = partial(_look, settings.catalog, stored, event_id, now_ms)
        try:
            row = patiently(look, began_s + deadline_s, output.note)
        except UnavailableError as error:
            raise RejectedError(
                f"{event_id} was accepted, and its decision is not in the table after {deadline_s:g} s ({error}): see "
                f"`headgate dlq list`, and what the enricher and the writer say of themselves at /readyz"
            ) from error
        queryable_s = time.monotonic() - began_s
        output.result(
            {
                "event_id": event_id,
                "accepted_s": round(accepted_s, 3),
                "queryable_s": round(queryable_s, 3),
                "decision": jsonlib.loads(jsonlib.dumps(additions(event, row), default=str)),
            },
            f"{event_id}: accepted after {accepted_s:.2f} s, its decision queryable after {queryable_s:.2f} s",
        )


def _look(catalog: dict[str, str], topic: TopicContract, event_id: str, since_ms: int) -> dict[str, Any]:
    fields, table = topic.fields, topic.table
    if table is None or fields.event_id is None or fields.event_time is None:
        raise ConfigurationError(f"the contract of {topic.topic} names no table, or not which fields are id and time")
    row = find_row(
        catalog,
        table.name,
        id_field=fields.event_id,
        event_id=event_id,
        time_field=fields.event_time,
        since_ms=since_ms,
    )
    if row is None:
        raise UnavailableError("its decision is not stored yet")
    return row
