"""SQL over the table a demo left, with everything stopped: the catalog and its files are enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
from headgate_schemas import Contracts, latest_rows

from headgate_local.demo import lakehouse
from headgate_local.folder import StackError
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
    contract = Contracts.load().topic(topic).table
    catalog = Stack(folder / "data").catalog
    if contract is None or not (folder / "data" / "iceberg" / "catalog.db").exists():
        raise StackError(f"{folder} holds no table: run `make demo` first")
    table = lakehouse.open_table(catalog, contract.name)
    if table is None:
        raise StackError(f"{contract.name} does not exist yet: run `make demo` first")
    with duckdb.connect() as connection:
        rows = table.scan().to_arrow()
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
