"""The commands of ``headgate table``."""

from __future__ import annotations

from typing import Annotated

import typer
from headgate_schemas import Contracts, latest_view

from headgate_admin.config import load_settings
from headgate_admin.options import ContractsDir, Json  # noqa: TC001  # typer reads them
from headgate_admin.output import reporting

app = typer.Typer(help="The tables that topics are stored in.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keep ``view`` a command of its own although it is the only one."""


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
