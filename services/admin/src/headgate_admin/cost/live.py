"""``headgate cost live``: what the running system has really spent on models."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from headgate_runtime.errors import RejectedError
from headgate_schemas import Contracts

from headgate_admin.config import load_settings
from headgate_admin.cost.spent import settled_since, spent_by_hour
from headgate_admin.options import BootstrapServers, ContractsDir, Json, RegistryUrl  # noqa: TC001  # typer reads them
from headgate_admin.output import reporting, table_of
from headgate_admin.tables.lakehouse import load_table
from headgate_admin.times import iso, milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_admin.cost.spent import Hour, Settled

COLUMNS = ("hour", "agent", "model", "events", "by the model", "calls", "tokens in", "tokens out", "US$")
_DAY_MS = 86_400_000

app = typer.Typer(add_completion=False)


@app.command()
def live(
    *,
    since: Annotated[str | None, typer.Option(help="ISO 8601 time; a day ago where not given.")] = None,
    ledger: Annotated[
        bool, typer.Option(help="Read the budget ledger too, which wants Kafka and the registry.")
    ] = True,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Add up what decisions cost, by hour, agent and model from the table, beside what the budget ledger has settled.

    The table has what became of events; the ledger has every call, those of shadows too, and keeps seven days.
    """
    with reporting(as_json=json) as output:
        settings = load_settings(contracts=contracts, bootstrap_servers=bootstrap_servers, registry_url=registry_url)
        start = milliseconds(since)
        since_ms = round(time.time() * 1000) - _DAY_MS if start is None else start
        known = Contracts.load(settings.contracts_dir)
        stored = known.topic(settings.enriched_topic).table
        if stored is None:
            raise RejectedError(f"{settings.enriched_topic} has no table in its contract.")
        hours = spent_by_hour(load_table(settings.catalog, stored.name), iso(since_ms))
        record = known.record(known.topic(settings.budget_topic).record)
        settled = settled_since(settings, record, since_ms) if ledger else None
        document = {"since": iso(since_ms), "hours": [hour._asdict() for hour in hours], **summary(hours, settled)}
        output.result(document, "\n".join(_lines(document)), table_of(COLUMNS, map(_row, hours)))


def summary(hours: Sequence[Hour], settled: Settled | None) -> dict[str, Any]:
    """The totals, what they come to for a million events, and the figures the estimate assumes instead."""
    events, decided = sum(hour.events for hour in hours), sum(hour.by_model for hour in hours)
    calls, cost = sum(hour.calls for hour in hours), sum(hour.cost_microdollars for hour in hours)
    tokens = sum(hour.input_tokens for hour in hours), sum(hour.output_tokens for hour in hours)
    totals = {
        "events": events,
        "model_calls": calls,
        "cost_microdollars": cost,
        "usd_per_million_events": cost / events if events else None,
        "model_share": decided / events if events else None,
        "calls_per_decision": calls / decided if decided else None,
        "tokens_per_call": [count / calls for count in tokens] if calls else None,
    }
    return {"table": totals, "ledger": None if settled is None else vars(settled)}


def _row(hour: Hour) -> tuple[str, ...]:
    counts = (f"{count:,}" for count in hour[3:8])
    return hour.hour, hour.agent, hour.model or "", *counts, f"{hour.cost_microdollars / 1e6:,.6f}"


def _lines(document: dict[str, Any]) -> list[str]:
    table, ledger = document["table"], document["ledger"]
    if not table["events"]:
        lines = [f"no event was decided since {document['since']}"]
    else:
        spent, share = table["cost_microdollars"] / 1e6, table["model_share"]
        a_million = f"${table['usd_per_million_events']:,.4f} a million"
        lines = [f"table: ${spent:,.6f} for {table['events']:,} events, {a_million}, {share:.2%} decided by a model"]
    if ledger is not None:
        more = f"; {ledger['unreadable']:,} entries cannot be read" if ledger["unreadable"] else ""
        lines.append(f"ledger: ${ledger['cost_microdollars'] / 1e6:,.6f} settled for {ledger['calls']:,} calls{more}")
    return lines
