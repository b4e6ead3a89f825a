"""``headgate lineage``: the way of one event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from headgate_runtime.errors import RejectedError
from headgate_schemas import Contracts

from headgate_admin.config import load_settings
from headgate_admin.options import BootstrapServers, ContractsDir, Json, RegistryUrl  # noqa: TC001  # typer reads them
from headgate_admin.output import reporting, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headgate_runtime.records import Record

    from headgate_admin.config import AdminSettings

app = typer.Typer(add_completion=False)


@app.command()
def lineage(
    event_id: Annotated[str, typer.Argument(help="The event's id.")],
    *,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Show the way of one event: source, decisions, model calls, reviews, rows, and the commits that stored them.

    Reads the tables' rows of the event and the topics at their positions; shows nothing that is tagged as personal.
    """
    with reporting(as_json=json) as output:
        settings = load_settings(contracts=contracts, bootstrap_servers=bootstrap_servers, registry_url=registry_url)
        output.note(f"Kafka at {settings.origin(settings.kafka.bootstrap_servers)}")
        document = _way(settings, event_id)
        output.result(
            document, f"event {event_id}: {len(document['revisions'])} revisions", table_of(_COLUMNS, _steps(document))
        )


_COLUMNS = ("step", "when", "where", "what")


def _way(settings: AdminSettings, event_id: str) -> dict[str, Any]:
    from headgate_runtime.avro import Decoder  # noqa: PLC0415 - these libraries take a second to import
    from headgate_runtime.kafka.admin import KafkaAdmin  # noqa: PLC0415 - see above
    from headgate_runtime.registry import ConfluentRegistry  # noqa: PLC0415 - see above

    from headgate_admin.lineage.calls import calls_for  # noqa: PLC0415 - see above
    from headgate_admin.lineage.way import outcomes_of, rows_of, source_of, told, window_ms  # noqa: PLC0415 - see above
    from headgate_admin.reading import record_at  # noqa: PLC0415 - see above
    from headgate_admin.tables.lakehouse import load_table  # noqa: PLC0415 - see above

    known = Contracts.load(settings.contracts_dir)
    contract, outcomes = known.topic(settings.enriched_topic), known.topic(settings.outcomes_topic)
    if contract.table is None or contract.fields.event_id is None:
        raise RejectedError(f"{contract.topic} has no table, or no field of it is the event's id: see its contract.")
    table = load_table(settings.catalog, contract.table.name)
    rows = rows_of(table, contract.fields.event_id, event_id)
    decoder = Decoder(ConfluentRegistry(settings.registry), known.record(known.topic(settings.results_topic).record))
    calls = (
        calls_for(settings.kafka, settings.results_topic, decoder, source_of(rows[0]), window_ms(rows[0]))
        if rows
        else []
    )
    reviews = outcomes_of(settings.catalog, outcomes, event_id)
    there, read = KafkaAdmin(settings.kafka).topics(), record_at(settings.kafka)

    def read_at(topic: str, number: int, offset: int) -> Record | None:
        return read(topic, number, offset) if topic in there else None

    return told(event_id, table, rows, read_at, calls=calls, reviews=reviews)


def _steps(document: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    source = document["source"]
    gone = "" if source["in_the_log"] else "has left the log"
    yield "source", source.get("timestamp"), source["position"], gone or f"{source['bytes']} bytes"
    for call in document["model_calls"]:
        spent = f"{call['input_tokens']} + {call['output_tokens']} tokens, {call['cost_microdollars']} microdollars"
        yield "model", call["answered_at"], call["model_id"], spent
    for each in document["revisions"]:
        decided, stored = each["decision"], each["stored_by"]
        reason = f"{decided['decision']} by {decided['tier']}: {decided['decision_reason']}"
        yield f"revision {each['revision']}", each["processing"]["processing_time"], each["record"]["position"], reason
        if stored is not None:
            fresh = "" if each["freshness_s"] is None else f"{each['freshness_s']} s after its arrival"
            named = f"snapshot {stored['snapshot_id']}{'' if stored['exact'] else ' or an earlier one'}"
            yield "stored", stored["committed"], named, fresh
    for review in document["reviews"]:
        yield "review", review["decided_at"], review["position"], f"{review['action']}: {review['decision']}"
