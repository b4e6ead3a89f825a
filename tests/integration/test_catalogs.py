"""What the writer needs of a catalog, on real servers: PostgreSQL, SeaweedFS, and Glue's shape before SeaweedFS."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from headgate_local.lake import Lake
from headgate_local.progress import PlainProgress
from headgate_local.stack import Stack
from headgate_runtime.errors import RejectedError, UnavailableError
from headgate_runtime.records import TopicPartition
from headgate_runtime.testing import eventually
from headgate_writer.catalog import TIMEOUT_PROPERTY, open_catalog
from headgate_writer.commit import Batch, Committer, Outcome
from headgate_writer.opening import open_table
from sqlalchemy import text

from services.writer.tests.catalog_behaviour import (
    SCHEMA,
    TOPIC,
    RacingBehaviour,
    contract,
    offsets,
    rows,
    store,
)
from tests.chaos.proxy import Fault, FaultProxy, is_commit
from tests.integration import glue_shaped, postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headgate_writer.iceberg import IcebergTable
    from headgate_writer.sql_catalog import TimedSqlCatalog
    from pyiceberg.catalog import Catalog

    from tests.integration.glue_shaped import GlueShaped


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("seaweedfs")
    progress = PlainProgress(sys.__stderr__ or sys.stderr)
    with Stack(folder, brokers=0, registry=False, lake=Lake.SEAWEEDFS, progress=progress) as stack:
        yield stack


@pytest.fixture(scope="module")
def postgresql_uri() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with postgresql.running(Path(folder)) as uri:
            yield uri


@pytest.fixture(scope="module")
def glue(seaweedfs: Stack) -> Iterator[GlueShaped]:
    with glue_shaped.running(seaweedfs.catalog) as server:
        yield server


class TestSqlite(RacingBehaviour):
    @pytest.fixture(autouse=True)
    def _sqlite(self, tmp_path: Path) -> None:
        uri, warehouse = f"sqlite:///{tmp_path}/c.db", f"file://{tmp_path}/w"
        self.properties = {"name": "test", "type": "sql", "uri": uri, "warehouse": warehouse}


class TestPostgresql(RacingBehaviour):
    @pytest.fixture(autouse=True)
    def _postgresql(self, postgresql_uri: str, tmp_path: Path) -> None:
        own = {"warehouse": f"file://{tmp_path}/w", TIMEOUT_PROPERTY: "2"}
        self.properties = {"name": "test", "type": "sql", "uri": postgresql_uri, **own}

    def test_a_session_that_hangs_is_given_up_and_another_one_goes_on(
        self, catalog: TimedSqlCatalog, table: IcebergTable
    ) -> None:
        store(table, rows(0), 1)
        with catalog.engine.connect() as connection:
            session = int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        os.kill(session, signal.SIGSTOP)
        try:
            with pytest.raises(UnavailableError, match="timed out"):
                table.refresh()
            store(table, rows(1), 2)
        finally:
            os.kill(session, signal.SIGCONT)
        assert offsets(catalog, table.name) == [0, 1]

    def test_nobody_waits_long_for_the_lock_of_a_writer_that_hangs(
        self, catalog: TimedSqlCatalog, table: IcebergTable
    ) -> None:
        store(table, rows(0), 1)
        other = open_catalog(self.properties | {TIMEOUT_PROPERTY: "30"})
        assert isinstance(other, type(catalog))
        with other.engine.connect() as hung:
            hung.execute(text("SELECT * FROM iceberg_tables FOR UPDATE"))
            with pytest.raises(Exception, match=r"timeout|timed out"):
                store(table, rows(1), 2)
        other.close()
        store(table, rows(1), 2)
        assert offsets(catalog, table.name) == [0, 1]


class TestSeaweedfs(RacingBehaviour):
    creates_once = False  # SeaweedFS lets a later one take its place

    @pytest.fixture(autouse=True)
    def _seaweedfs(self, seaweedfs: Stack) -> None:
        self.properties = seaweedfs.catalog

    @pytest.mark.parametrize("fault", list(Fault)[2:])
    def test_a_commit_that_meets_a_fault_lands_once(self, catalog: Catalog, name: str, fault: Fault) -> None:
        armed = threading.Event()
        port = urlsplit(self.properties["uri"]).port
        assert port is not None
        with FaultProxy(port, {fault: 1.0}, only=lambda request: armed.is_set() and is_commit(request)) as proxy:
            struck = open_catalog(self.properties | {"uri": proxy.url, TIMEOUT_PROPERTY: "1"})
            now = [0.0]
            table = open_table(struck, contract(name), SCHEMA)
            committer = Committer(table, clock=lambda: now[0], rng=random.SystemRandom())
            committer.meet(TOPIC)
            armed.set()
            place = TopicPartition(TOPIC.topic, 0)
            committer.submit(Batch({place: 0}, {place: 3}, rows(0, 1, 2)))
            assert committer.advance() is Outcome.UNKNOWN
            armed.clear()
            now[0] += 60
            assert committer.advance() is Outcome.LANDED
            if fault is Fault.HANG:
                proxy.set(Fault.NONE)  # the first one arrives after all, and is refused
                eventually(lambda: proxy.under_way == 0, 10)
            struck.close()
        assert proxy.struck[fault] == 1
        assert offsets(catalog, name) == [0, 1, 2]
        assert len(catalog.load_table(name).metadata.snapshots) == 1

    def test_wrong_credentials_are_refused(self) -> None:
        with pytest.raises(RejectedError, match="refuses"):
            open_catalog(self.properties | {"credential": "local:wrong"})


class TestGlueShaped(RacingBehaviour):
    creates_once = False  # SeaweedFS lets a later one take its place

    @pytest.fixture(autouse=True)
    def _glue(self, glue: GlueShaped) -> None:
        self.properties = glue.properties

    def test_wrong_signatures_are_refused(self) -> None:
        with pytest.raises(RejectedError, match="refuses"):
            open_catalog(self.properties | {"client.secret-access-key": "wrong"})

    def test_a_new_table_s_place_is_named_to_a_catalog_that_chooses_none(self, glue: GlueShaped, name: str) -> None:
        table = open_table(open_catalog(self.properties), contract(name), SCHEMA)
        assert glue.created[-1] == f"s3://lake/{name.replace('.', '/')}"
        store(table, rows(0), 1)
        found = table.refresh().positions
        assert found is not None
        assert found.of(TOPIC) == {0: 1}
