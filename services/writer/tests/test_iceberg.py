"""The Iceberg adapter on a real SQLite catalog and a warehouse of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from headgate_runtime.errors import UnavailableError
from headgate_writer.errors import ConflictError, UnknownOutcomeError
from headgate_writer.opening import open_table
from headgate_writer.positions import Positions
from pyiceberg.exceptions import CommitFailedException

from .catalog_behaviour import SCHEMA, TOPIC, CatalogBehaviour, contract, offsets, rows

if TYPE_CHECKING:
    from pathlib import Path

    from headgate_writer.iceberg import IcebergTable
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import CommitTableResponse


class TestSqlite(CatalogBehaviour):
    @pytest.fixture(autouse=True)
    def _sqlite(self, tmp_path: Path) -> None:
        self.properties = {
            "name": "test",
            "type": "sql",
            "uri": f"sqlite:///{tmp_path}/c.db",
            "warehouse": f"file://{tmp_path}/w",
        }

    def test_a_table_filled_by_others_has_no_map(self, catalog: Catalog, table: IcebergTable) -> None:
        catalog.load_table(table.name).append(rows(0))
        assert table.refresh().positions is None

    def test_a_refusal_that_hides_a_success_deletes_no_live_file(
        self, catalog: Catalog, table: IcebergTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = catalog.commit_table

        def repeated_by_the_transport(*arguments: Any) -> CommitTableResponse:
            real(*arguments)
            raise CommitFailedException("branch main has changed: the request came twice")

        monkeypatch.setattr(catalog, "commit_table", repeated_by_the_transport)
        head = table.refresh()
        with pytest.raises(ConflictError):
            table.commit(head, table.write(rows(0, 1)), Positions().advanced(TOPIC, {0: 2}))
        assert offsets(catalog, table.name) == [0, 1]

    def test_an_unexpected_error_is_an_unknown_outcome(
        self, catalog: Catalog, table: IcebergTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> CommitTableResponse:
            raise KeyError("a client's bug after the request")

        monkeypatch.setattr(catalog, "commit_table", fail)
        head = table.refresh()
        with pytest.raises(UnknownOutcomeError, match="client's bug"):
            table.commit(head, table.write(rows(0)), Positions())

    def test_an_outage_of_the_catalog_or_the_store_is_not_fatal(
        self, catalog: Catalog, table: IcebergTable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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

    def test_a_namespace_that_another_replica_makes_meanwhile_is_used(
        self, catalog: Catalog, table: IcebergTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        namespace = table.name.partition(".")[0]
        real, missed = catalog.namespace_exists, []

        def not_yet(asked: Any) -> bool:
            missed.append(asked)
            return len(missed) > 1 and real(asked)

        monkeypatch.setattr(catalog, "namespace_exists", not_yet)
        open_table(catalog, contract(f"{namespace}.others"), SCHEMA)
        assert len(catalog.list_tables(namespace)) == 2

    def test_a_store_that_fails_before_a_commit_is_sent_leaves_no_doubt(
        self, catalog: Catalog, table: IcebergTable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def sent(*_: Any) -> CommitTableResponse:
            raise AssertionError("the commit was sent")

        monkeypatch.setattr(catalog, "commit_table", sent)
        head, written = table.refresh(), table.write(rows(0))
        [metadata] = tmp_path.glob("w/**/metadata")
        metadata.rename(tmp_path / "away")
        metadata.write_text("not a folder", "utf-8")
        with pytest.raises(UnavailableError, match="does not take files"):
            table.commit(head, written, Positions())

    def test_a_full_disk_is_called_so(self, table: IcebergTable, monkeypatch: pytest.MonkeyPatch) -> None:
        io = table._table.io
        full = io.new_output("file:///dev/full")
        monkeypatch.setattr(io, "new_output", lambda _: full)
        with pytest.raises(UnavailableError, match=r"disk that holds .+ is full: free space"):
            table.write(rows(0))
