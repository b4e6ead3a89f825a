"""The view of the rows that hold now, asked of a real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest
from headgate_schemas import ContractError, Contracts, RowVersions, latest_rows, latest_view

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = tuple[str, int, str]

CONTRACTS = Contracts.load()
TOPIC = CONTRACTS.topic("enriched-events")
RECORD = CONTRACTS.record(TOPIC.record)
NESTED = {"agent_metadata": "STRUCT(revision INTEGER, decision VARCHAR)"}


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine with an empty table under the contract's name, with a column more than the record has."""
    columns = ", ".join(f"{field['name']} {NESTED.get(field['name'], 'VARCHAR')}" for field in RECORD.raw["fields"])
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA lakehouse")
        connection.execute(f"CREATE TABLE lakehouse.enriched_events ({columns}, kafka_offset BIGINT)")
        yield connection


def latest(engine: duckdb.DuckDBPyConnection, *rows: Row) -> list[Row]:
    for row in rows:
        engine.execute(
            "INSERT INTO lakehouse.enriched_events (event_id, agent_metadata) "
            "VALUES (?, {'revision': ?, 'decision': ?})",
            row,
        )
    engine.execute(latest_view(TOPIC, RECORD))
    return engine.execute(
        "SELECT event_id, agent_metadata.revision, agent_metadata.decision "
        "FROM lakehouse.enriched_events_latest ORDER BY event_id"
    ).fetchall()


def test_of_several_revisions_the_last_one_holds_in_whatever_order_they_were_stored(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    assert latest(
        engine,
        ("c", 10, "flag_high_risk"),
        ("a", 0, "allow"),
        ("b", 1, "allow"),
        ("c", 0, "allow"),
        ("b", 0, "flag_high_risk"),
        ("c", 2, "allow"),
    ) == [("a", 0, "allow"), ("b", 1, "allow"), ("c", 10, "flag_high_risk")]


def test_an_event_that_its_source_sent_twice_is_one_row_of_the_view(engine: duckdb.DuckDBPyConnection) -> None:
    assert latest(engine, ("a", 0, "allow"), ("a", 0, "allow")) == [("a", 0, "allow")]


def test_the_view_is_made_anew_and_has_the_columns_of_the_record(engine: duckdb.DuckDBPyConnection) -> None:
    latest(engine, ("a", 0, "allow"))
    assert latest(engine, ("a", 1, "flag_high_risk")) == [("a", 1, "flag_high_risk")]
    columns = engine.execute("SELECT * FROM lakehouse.enriched_events_latest").description
    assert [column[0] for column in columns] == [field["name"] for field in RECORD.raw["fields"]]


def test_a_table_without_versions_has_no_such_view() -> None:
    assert TOPIC.table
    plain = TOPIC.model_copy(update={"table": TOPIC.table.model_copy(update={"versions": None})})
    with pytest.raises(ContractError, match=r"enriched-events.yaml: table.versions"):
        latest_view(plain, RECORD)
    with pytest.raises(ContractError, match=r"raw-events.yaml: table.versions"):
        latest_view(CONTRACTS.topic("raw-events"), CONTRACTS.record("base_event"))


def test_the_query_is_plain_sql_and_takes_words_of_sql_for_names() -> None:
    assert latest_rows("t", RowVersions(key="order", by="meta.n"), ["order", "at"]) == (
        'SELECT "order", "at"\n'
        "FROM (\n"
        '  SELECT *, ROW_NUMBER() OVER (PARTITION BY "order" ORDER BY "meta"."n" DESC) AS headgate_rank\n'
        '  FROM "t"\n'
        ") AS versions\n"
        "WHERE headgate_rank = 1"
    )
