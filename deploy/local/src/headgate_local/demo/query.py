"""SQL over the table a demo left, with everything stopped but the lake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
from headgate_schemas import Contracts, latest_rows

from headgate_local.demo import lakehouse
from headgate_local.folder import Memory, StackError
from headgate_local.stack import Stack

if TYPE_CHECKING:
    from pathlib import Path


def query(sql: str, folder: Path, topic: str = "enriched-events") -> tuple[list[str], list[dict[str, Any]]]:
    """Run one statement over the table of a topic, as ``events``, or as ``events_latest``: the rows that hold now.

    Args:
        sql: DuckDB's SQL.
        folder: The demo's folder.
        topic: The topic whose table is asked.

    Returns:
        Column names, and rows as dictionaries.

    Raises:
        StackError: There is no table yet, or the statement is wrong; the text says which.
    """
    contract, data = Contracts.load().topic(topic).table, folder / "data"
    if contract is None or not data.exists():
        raise StackError(f"{folder} holds no table: run `make demo` first")
    memory = Memory.load(data)
    with Stack(data, brokers=0, registry=False, lake=memory.lake, security=memory.security) as stack:
        table = lakehouse.open_table(stack.catalog, contract.name)
        if table is None:
            raise StackError(f"{contract.name} does not exist yet: run `make demo` first")
        rows = table.scan().to_arrow()
    with duckdb.connect() as connection:
        connection.register("events", rows)
        if contract.versions is not None:
            connection.execute(
                f"CREATE TEMP VIEW events_latest AS {latest_rows('events', contract.versions, rows.column_names)}"
            )
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        try:
            found = connection.execute(sql).to_arrow_table()
        except duckdb.Error as error:
            raise StackError(f"the statement failed: {error}") from error
        return found.column_names, found.to_pylist()
