"""Tables as they are opened: with an order, wider than before, taken back to an older snapshot."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import TopicPartition
from headgate_writer.catalog import open_catalog
from headgate_writer.commit import Batch, Committer, Outcome
from headgate_writer.errors import NotStorableError
from headgate_writer.opening import open_table
from headgate_writer.schema import stored_schema
from pyiceberg.table.sorting import SortDirection

from .catalog_behaviour import DECODED, SCHEMA, TOPIC, contract, offsets, rows, store

if TYPE_CHECKING:
    from pathlib import Path

    from headgate_writer.iceberg import IcebergTable
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import CommitTableResponse

NAME = "lake.events"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return open_catalog({"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": f"file://{tmp_path}/w"})


@pytest.fixture
def table(catalog: Catalog) -> IcebergTable:
    return open_table(catalog, contract(NAME), SCHEMA)


def test_a_new_table_declares_the_order_it_is_given(catalog: Catalog) -> None:
    table = open_table(catalog, contract(NAME), SCHEMA, sort_by="at")
    created = catalog.load_table(NAME)
    (field,) = created.sort_order().fields
    assert (field.source_id, field.direction) == (created.schema().find_field("at").field_id, SortDirection.ASC)
    store(table, rows(1, 0, 3, 2, days=2), 4)
    (first, second) = (task.file for task in catalog.load_table(NAME).scan().plan_files())
    assert {first.sort_order_id, second.sort_order_id} == {created.sort_order().order_id}


def test_a_rollback_to_an_older_snapshot_takes_the_map_back_and_fences_who_is_ahead(
    catalog: Catalog, table: IcebergTable
) -> None:
    store(table, rows(0, 1), 2)
    older = catalog.load_table(NAME).current_snapshot()
    assert older is not None
    store(table, rows(2, 3), 4)
    catalog.load_table(NAME).manage_snapshots().rollback_to_snapshot(older.snapshot_id).commit()
    committer = Committer(table, clock=lambda: 0.0, rng=random.SystemRandom())
    committer.meet(TOPIC)
    place = TopicPartition("events", 0)
    committer.submit(Batch({place: 4}, {place: 5}, rows(4)))
    assert committer.advance() is Outcome.FENCED
    assert committer.stored() == {place: 2}
    committer.submit(Batch({place: 2}, {place: 5}, rows(2, 3, 4)))
    assert committer.advance() is Outcome.LANDED
    assert offsets(catalog, NAME) == [0, 1, 2, 3, 4]


def test_a_required_column_that_the_rows_lack_is_refused(catalog: Catalog, table: IcebergTable) -> None:
    narrower = stored_schema(pa.schema([DECODED.field("note")]))
    with pytest.raises(ConfigurationError, match="its column at may not be null, and the rows have none"):
        open_table(catalog, contract(NAME), narrower)
    with pytest.raises(NotStorableError, match="may not be null"):
        table.widen(narrower)


def test_two_replicas_that_widen_a_table_at_once_both_find_it_wide(
    catalog: Catalog, table: IcebergTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    wider = stored_schema(pa.schema([*DECODED, pa.field("extra", pa.int64(), nullable=False)]))
    real, first = catalog.commit_table, [True]

    def beaten(*arguments: Any) -> CommitTableResponse:
        if first:
            first.clear()
            open_table(catalog, contract(NAME), wider)
        return real(*arguments)

    monkeypatch.setattr(catalog, "commit_table", beaten)
    table.widen(wider)
    found = catalog.load_table(NAME)
    assert len(found.schemas()) == 2
    assert found.schema().find_field("extra").optional
