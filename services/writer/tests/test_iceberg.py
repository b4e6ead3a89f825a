"""The Iceberg adapter on a real SQLite catalog and a warehouse of files."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from headgate_runtime.errors import ConfigurationError, UnavailableError
from headgate_schemas import PartitionField, TableContract
from headgate_writer.catalog import TIMEOUT_PROPERTY, open_catalog
from headgate_writer.commit import Batch, Committer, Outcome
from headgate_writer.errors import ConflictError, UnknownOutcomeError, UnsafeToWriteError
from headgate_writer.maintenance.retention import Retention
from headgate_writer.opening import CREATION_PROPERTIES, open_table
from headgate_writer.positions import PROPERTY, Incarnation, Positions
from headgate_writer.schema import stored_schema
from pyiceberg.exceptions import CommitFailedException

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headgate_writer.iceberg import IcebergTable
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import CommitTableResponse

TOPIC = Incarnation("events", "cluster", "id")
DECODED = pa.schema([pa.field("at", pa.timestamp("ms", tz="UTC"), nullable=False), pa.field("note", pa.string())])
SCHEMA = stored_schema(DECODED)
CONTRACT = TableContract(name="lake.events", partition_by=(PartitionField(field="at", transform="day"),))
DAY_US = 86_400_000_000


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return open_catalog(
        {"name": "test", "type": "sql", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": f"file://{tmp_path}/w"}
    )


@pytest.fixture
def table(catalog: Catalog) -> IcebergTable:
    return open_table(catalog, CONTRACT, SCHEMA)


def rows(*offsets: int, days: int = 1) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "at": [offset % days * DAY_US for offset in offsets],
        "note": [None] * len(offsets),
        "_topic": ["events"] * len(offsets),
        "_partition": [0] * len(offsets),
        "_offset": list(offsets),
        "_ingested_at": [0] * len(offsets),
    }
    return pa.table(columns, schema=SCHEMA)


def store(table: IcebergTable, data: pa.Table, end: int) -> None:
    head = table.refresh()
    assert head.positions is not None
    table.commit(head, table.write(data), head.positions.advanced(TOPIC, {0: end}))


def offsets(catalog: Catalog) -> list[int]:
    found: list[int] = catalog.load_table(CONTRACT.name).scan().to_arrow()["_offset"].to_pylist()
    return sorted(found)


def patch_commit(monkeypatch: pytest.MonkeyPatch, catalog: Catalog, replacement: Callable[..., Any]) -> None:
    monkeypatch.setattr(catalog, "commit_table", replacement)


def test_a_new_table_has_the_contract_s_partitioning_and_our_properties(catalog: Catalog, table: IcebergTable) -> None:
    created = catalog.load_table(CONTRACT.name)
    assert [field.name for field in created.spec().fields] == ["at_day"]
    assert CREATION_PROPERTIES.items() <= created.properties.items()
    assert "commit.retry.num-retries" not in created.properties
    assert table.refresh().positions == Positions()


def test_rows_and_the_map_are_read_back(catalog: Catalog, table: IcebergTable) -> None:
    store(table, rows(0, 1, 2, days=2), 3)
    assert offsets(catalog) == [0, 1, 2]
    again = open_table(catalog, CONTRACT, SCHEMA).refresh().positions
    assert again is not None
    assert again.of(TOPIC) == {0: 3}
    assert len(list(catalog.load_table(CONTRACT.name).scan().plan_files())) == 2


def test_a_foreign_delete_does_not_lose_the_map(catalog: Catalog, table: IcebergTable) -> None:
    store(table, rows(0, 1, 2), 3)
    foreign = catalog.load_table(CONTRACT.name)
    foreign.delete("_offset = 1")
    foreign.append(rows(77))
    summary = foreign.refresh().current_snapshot().summary  # type: ignore[union-attr]  # it has snapshots
    assert summary is not None
    assert PROPERTY not in summary.additional_properties
    found = table.refresh().positions
    assert found is not None
    assert found.of(TOPIC) == {0: 3}


def test_old_snapshots_expire_with_a_commit_and_no_row_or_tag_is_lost(catalog: Catalog) -> None:
    table = open_table(catalog, CONTRACT, SCHEMA, retention=Retention(most=4, least=1))
    for number in range(4):
        store(table, rows(number), number + 1)
    tagged = catalog.load_table(CONTRACT.name)
    tagged.manage_snapshots().create_tag(tagged.metadata.snapshots[0].snapshot_id, "audit").commit()
    for number in range(4, 20):
        store(table, rows(number), number + 1)
    after = catalog.load_table(CONTRACT.name)
    assert 4 <= len(after.metadata.snapshots) <= 7
    assert after.scan().use_ref("audit").to_arrow().num_rows == 1
    assert offsets(catalog) == list(range(20))
    assert table.refresh().positions == Positions().advanced(TOPIC, {0: 20})


def test_a_table_filled_by_others_has_no_map(catalog: Catalog, table: IcebergTable) -> None:
    catalog.load_table(CONTRACT.name).append(rows(0))
    assert table.refresh().positions is None


def test_a_second_writer_s_commit_is_a_conflict_and_changes_nothing(catalog: Catalog, table: IcebergTable) -> None:
    stale = open_table(catalog, CONTRACT, SCHEMA)
    head = stale.refresh()
    store(table, rows(0), 1)
    with pytest.raises(ConflictError):
        stale.commit(head, stale.write(rows(0, 1)), Positions().advanced(TOPIC, {0: 2}))
    assert offsets(catalog) == [0]


@pytest.mark.parametrize("landed", [True, False])
def test_a_lost_acknowledgement_neither_loses_nor_doubles(
    catalog: Catalog, table: IcebergTable, monkeypatch: pytest.MonkeyPatch, *, landed: bool
) -> None:
    real = catalog.commit_table
    calls = []

    def once_lost(*arguments: Any) -> CommitTableResponse:
        calls.append(1)
        if len(calls) > 1:
            return real(*arguments)
        if landed:
            real(*arguments)
        raise ConnectionResetError("the answer was lost")

    patch_commit(monkeypatch, catalog, once_lost)
    now = [0.0]
    committer = Committer(table, TOPIC, clock=lambda: now[0], rng=random.SystemRandom())
    committer.submit(Batch({0: 0}, {0: 3}, rows(0, 1, 2)))
    assert committer.advance() is Outcome.UNKNOWN
    now[0] += 60
    assert committer.advance() is Outcome.LANDED
    assert offsets(catalog) == [0, 1, 2]
    assert len(calls) == (1 if landed else 2)


def test_a_refusal_that_hides_a_success_deletes_no_live_file(
    catalog: Catalog, table: IcebergTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = catalog.commit_table

    def repeated_by_the_transport(*arguments: Any) -> CommitTableResponse:
        real(*arguments)
        raise CommitFailedException("branch main has changed: the request came twice")

    patch_commit(monkeypatch, catalog, repeated_by_the_transport)
    head = table.refresh()
    with pytest.raises(ConflictError):
        table.commit(head, table.write(rows(0, 1)), Positions().advanced(TOPIC, {0: 2}))
    assert offsets(catalog) == [0, 1]


def test_an_unexpected_error_is_an_unknown_outcome(
    catalog: Catalog, table: IcebergTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> CommitTableResponse:
        raise KeyError("a client's bug after the request")

    patch_commit(monkeypatch, catalog, fail)
    head = table.refresh()
    with pytest.raises(UnknownOutcomeError, match="client's bug"):
        table.commit(head, table.write(rows(0)), Positions())


def test_a_dropped_or_replaced_table_stops_the_writer(catalog: Catalog, table: IcebergTable) -> None:
    catalog.drop_table(CONTRACT.name)
    with pytest.raises(UnsafeToWriteError, match="dropped"):
        table.refresh()
    open_table(catalog, CONTRACT, SCHEMA)
    with pytest.raises(UnsafeToWriteError, match="replaced"):
        table.refresh()


def test_an_outage_of_the_catalog_or_the_store_is_not_fatal(
    catalog: Catalog, table: IcebergTable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table.refresh()
    (tmp_path / "w").rename(tmp_path / "away")
    (tmp_path / "w").write_text("not a folder", "utf-8")
    with pytest.raises(UnavailableError):
        table.write(rows(0))

    def away(*_: Any) -> None:
        raise ConnectionRefusedError("catalog away")

    monkeypatch.setattr(catalog, "load_table", away)
    with pytest.raises(UnavailableError, match="catalog away"):
        table.refresh()


def test_new_columns_are_added_before_the_first_row_that_has_them(catalog: Catalog, table: IcebergTable) -> None:
    store(table, rows(0), 1)
    inner = pa.struct([pa.field("id", pa.string())])
    wider = stored_schema(pa.schema([*DECODED, pa.field("extra", pa.int64()), pa.field("nested", inner)]))
    opened = open_table(catalog, CONTRACT, wider)
    more = rows(1).append_column("extra", pa.array([5])).append_column("nested", pa.array([{"id": "x"}], inner))
    store(opened, more.select(wider.names).cast(wider), 2)
    back = catalog.load_table(CONTRACT.name).scan().to_arrow().sort_by("_offset")
    assert back["extra"].to_pylist() == [None, 5]
    assert back["nested"].to_pylist()[1] == {"id": "x"}
    assert len(catalog.load_table(CONTRACT.name).schemas()) == 2
    open_table(catalog, CONTRACT, wider)
    assert len(catalog.load_table(CONTRACT.name).schemas()) == 2


def test_a_type_that_cannot_change_is_refused_and_the_table_stays(catalog: Catalog, table: IcebergTable) -> None:
    store(table, rows(0), 1)
    changed = stored_schema(pa.schema([DECODED.field("at"), pa.field("note", pa.int64())]))
    with pytest.raises(ConfigurationError, match="another table"):
        open_table(catalog, CONTRACT, changed)
    assert offsets(catalog) == [0]


def test_properties_that_name_no_catalog_are_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError):
        open_catalog({"name": "x", "type": "no-such-type"})


def test_a_rest_catalog_that_hangs_is_unavailable_after_its_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        properties = {"type": "rest", "uri": f"http://127.0.0.1:{port}", TIMEOUT_PROPERTY: "0.2"}
        with pytest.raises(UnavailableError, match="timed out"):
            open_catalog(properties)
