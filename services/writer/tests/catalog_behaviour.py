"""What the writer needs of a catalog, as tests that every one of them has to pass."""

from __future__ import annotations

import multiprocessing
import random
import time
import uuid
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import TopicPartition
from headgate_runtime.testing import eventually
from headgate_schemas import PartitionField, TableContract
from headgate_writer.catalog import open_catalog
from headgate_writer.commit import Batch, Committer, Outcome
from headgate_writer.errors import ConflictError, UnsafeToWriteError
from headgate_writer.maintenance.retention import Retention
from headgate_writer.opening import CREATION_PROPERTIES, open_table
from headgate_writer.positions import PROPERTY, Incarnation, Positions
from headgate_writer.schema import stored_schema
from pyiceberg.exceptions import NoSuchTableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headgate_writer.iceberg import IcebergTable
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import CommitTableResponse

TOPIC = Incarnation("events", "cluster", "id")
DECODED = pa.schema([pa.field("at", pa.timestamp("ms", tz="UTC"), nullable=False), pa.field("note", pa.string())])
SCHEMA = stored_schema(DECODED)
DAY_US = 86_400_000_000
RACERS, COMMITS_EACH = 4, 25
RACE_TIMEOUT_S = 120


def contract(name: str) -> TableContract:
    return TableContract(name=name, partition_by=(PartitionField(field="at", transform="day"),))


def rows(*offsets: int, days: int = 1, partition: int = 0) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "at": [offset % days * DAY_US for offset in offsets],
        "note": [None] * len(offsets),
        "_topic": ["events"] * len(offsets),
        "_kafka_partition": [partition] * len(offsets),
        "_offset": list(offsets),
        "_ingested_at": [0] * len(offsets),
    }
    return pa.table(columns, schema=SCHEMA)


def store(table: IcebergTable, data: pa.Table, end: int) -> None:
    head = table.refresh()
    assert head.positions is not None
    table.commit(head, table.write(data), head.positions.advanced(TOPIC, {0: end}))


def offsets(catalog: Catalog, name: str) -> list[int]:
    found: list[int] = catalog.load_table(name).scan().to_arrow()["_offset"].to_pylist()
    return sorted(found)


def race(properties: dict[str, str], name: str, partition: int) -> None:
    """One of several processes that open the table and commit to it, all at once."""
    table = open_table(open_catalog(properties), contract(name), SCHEMA)
    committer = Committer(table, clock=time.monotonic, rng=random.SystemRandom())
    committer.meet(TOPIC)
    place = TopicPartition(TOPIC.topic, partition)

    def gone() -> bool:
        committer.advance()
        return committer.batch is None

    for offset in range(COMMITS_EACH):
        committer.submit(Batch({place: offset}, {place: offset + 1}, rows(offset, partition=partition)))
        eventually(gone, RACE_TIMEOUT_S)


class CatalogBehaviour:
    """A subclass gives the catalog's ``properties``; what is done to tables is the same for all."""

    properties: dict[str, str]

    @pytest.fixture
    def catalog(self) -> Iterator[Catalog]:
        catalog = open_catalog(self.properties)
        yield catalog
        catalog.close()

    @pytest.fixture
    def name(self) -> str:
        return f"lake_{uuid.uuid4().hex[:12]}.events"

    @pytest.fixture
    def table(self, catalog: Catalog, name: str) -> IcebergTable:
        return open_table(catalog, contract(name), SCHEMA)

    def test_a_new_table_has_the_contract_s_partitioning_and_our_properties(
        self, catalog: Catalog, table: IcebergTable
    ) -> None:
        created = catalog.load_table(table.name)
        assert [field.name for field in created.spec().fields] == ["at_day"]
        assert CREATION_PROPERTIES.items() <= created.properties.items()
        assert "commit.retry.num-retries" not in created.properties
        assert table.refresh().positions == Positions()

    def test_rows_and_the_map_are_read_back(self, catalog: Catalog, table: IcebergTable) -> None:
        store(table, rows(0, 1, 2, days=2), 3)
        assert offsets(catalog, table.name) == [0, 1, 2]
        again = open_table(catalog, contract(table.name), SCHEMA).refresh().positions
        assert again is not None
        assert again.of(TOPIC) == {0: 3}
        assert len(list(catalog.load_table(table.name).scan().plan_files())) == 2

    def test_a_foreign_delete_does_not_lose_the_map(self, catalog: Catalog, table: IcebergTable) -> None:
        store(table, rows(0, 1, 2), 3)
        foreign = catalog.load_table(table.name)
        foreign.delete("_offset = 1")
        foreign.append(rows(77))
        summary = foreign.refresh().current_snapshot().summary  # type: ignore[union-attr]  # it has snapshots
        assert summary is not None
        assert PROPERTY not in summary.additional_properties
        found = table.refresh().positions
        assert found is not None
        assert found.of(TOPIC) == {0: 3}

    def test_old_snapshots_expire_with_a_commit_and_no_row_or_tag_is_lost(self, catalog: Catalog, name: str) -> None:
        table = open_table(catalog, contract(name), SCHEMA, retention=Retention(most=4, least=1))
        for number in range(4):
            store(table, rows(number), number + 1)
        tagged = catalog.load_table(name)
        tagged.manage_snapshots().create_tag(tagged.metadata.snapshots[0].snapshot_id, "audit").commit()
        for number in range(4, 20):
            store(table, rows(number), number + 1)
        after = catalog.load_table(name)
        assert 4 <= len(after.metadata.snapshots) <= 7
        assert after.scan().use_ref("audit").to_arrow().num_rows == 1
        assert offsets(catalog, name) == list(range(20))
        assert table.refresh().positions == Positions().advanced(TOPIC, {0: 20})

    def test_a_second_writer_s_commit_is_a_conflict_and_changes_nothing(
        self, catalog: Catalog, table: IcebergTable
    ) -> None:
        stale = open_table(catalog, contract(table.name), SCHEMA)
        head = stale.refresh()
        store(table, rows(0), 1)
        with pytest.raises(ConflictError):
            stale.commit(head, stale.write(rows(0, 1)), Positions().advanced(TOPIC, {0: 2}))
        assert offsets(catalog, table.name) == [0]

    @pytest.mark.parametrize("landed", [True, False])
    def test_a_lost_answer_neither_loses_nor_doubles(
        self, catalog: Catalog, table: IcebergTable, monkeypatch: pytest.MonkeyPatch, *, landed: bool
    ) -> None:
        real: Callable[..., CommitTableResponse] = catalog.commit_table
        calls = []

        def once_lost(*arguments: Any) -> CommitTableResponse:
            calls.append(1)
            if len(calls) > 1:
                return real(*arguments)
            if landed:
                real(*arguments)
            raise ConnectionResetError("the answer was lost")

        monkeypatch.setattr(catalog, "commit_table", once_lost)
        clock = [0.0]
        committer = Committer(table, clock=lambda: clock[0], rng=random.SystemRandom())
        committer.meet(TOPIC)
        place = TopicPartition(TOPIC.topic, 0)
        committer.submit(Batch({place: 0}, {place: 3}, rows(0, 1, 2)))
        assert committer.advance() is Outcome.UNKNOWN
        clock[0] += 60
        assert committer.advance() is Outcome.LANDED
        assert offsets(catalog, table.name) == [0, 1, 2]
        assert len(calls) == (1 if landed else 2)

    def test_a_dropped_or_replaced_table_stops_the_writer(self, catalog: Catalog, table: IcebergTable) -> None:
        catalog.drop_table(table.name)
        with pytest.raises(UnsafeToWriteError, match="dropped"):
            table.refresh()
        open_table(catalog, contract(table.name), SCHEMA)
        with pytest.raises(UnsafeToWriteError, match="replaced"):
            table.refresh()

    def test_new_columns_are_added_before_the_first_row_that_has_them(
        self, catalog: Catalog, table: IcebergTable
    ) -> None:
        store(table, rows(0), 1)
        inner = pa.struct([pa.field("id", pa.string())])
        wider = stored_schema(pa.schema([*DECODED, pa.field("extra", pa.int64()), pa.field("nested", inner)]))
        opened = open_table(catalog, contract(table.name), wider)
        more = rows(1).append_column("extra", pa.array([5])).append_column("nested", pa.array([{"id": "x"}], inner))
        store(opened, more.select(wider.names).cast(wider), 2)
        back = catalog.load_table(table.name).scan().to_arrow().sort_by("_offset")
        assert back["extra"].to_pylist() == [None, 5]
        assert back["nested"].to_pylist()[1] == {"id": "x"}
        assert len(catalog.load_table(table.name).schemas()) == 2
        open_table(catalog, contract(table.name), wider)
        assert len(catalog.load_table(table.name).schemas()) == 2

    def test_a_table_that_another_replica_makes_meanwhile_is_opened(
        self, catalog: Catalog, table: IcebergTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, missed = catalog.load_table, []

        def not_yet(identifier: Any) -> Any:
            if not missed:
                missed.append(identifier)
                raise NoSuchTableError(identifier)
            return real(identifier)

        monkeypatch.setattr(catalog, "load_table", not_yet)
        store(open_table(catalog, contract(table.name), SCHEMA), rows(0), 1)
        store(table, rows(1), 2)
        assert offsets(catalog, table.name) == [0, 1]

    def test_a_type_that_cannot_change_is_refused_and_the_table_stays(
        self, catalog: Catalog, table: IcebergTable
    ) -> None:
        store(table, rows(0), 1)
        changed = stored_schema(pa.schema([DECODED.field("at"), pa.field("note", pa.int64())]))
        with pytest.raises(ConfigurationError, match="another table"):
            open_table(catalog, contract(table.name), changed)
        assert offsets(catalog, table.name) == [0]


class RacingBehaviour(CatalogBehaviour):
    """The behaviour under processes that race; slower, so apart.

    Attributes:
        creates_once: A table that several create at once is one of theirs, and stays it.
    """

    creates_once = True

    def test_processes_that_race_lose_and_double_nothing(self, catalog: Catalog, name: str) -> None:
        if not self.creates_once:
            open_table(catalog, contract(name), SCHEMA)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        racers = [context.Process(target=race, args=(self.properties, name, number)) for number in range(RACERS)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(RACE_TIMEOUT_S)
        assert [racer.exitcode for racer in racers] == [0] * RACERS
        found = catalog.load_table(name).scan().to_arrow()
        pairs = zip(found["_kafka_partition"].to_pylist(), found["_offset"].to_pylist(), strict=True)
        assert sorted(pairs) == [(number, offset) for number in range(RACERS) for offset in range(COMMITS_EACH)]
        positions = open_table(catalog, contract(name), SCHEMA).refresh().positions
        assert positions is not None
        assert positions.of(TOPIC) == dict.fromkeys(range(RACERS), COMMITS_EACH)
