"""A person's rows leave a table and its history by copy-on-write, beside writers that go on."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from headgate_admin.erasure.rewriting import Eraser
from headgate_admin.erasure.search import Search
from headgate_admin.erasure.subject import Subject, read_pii_key
from headgate_admin.tables.positions import positions_in
from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError
from pyiceberg.exceptions import CommitFailedException

from .lake import Lake, positions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.table import Table

USER = "event_id"  # the column that stands for the person's key here


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    lake = Lake(tmp_path)
    yield lake
    lake.close()


def store(lake: Lake, users: list[str], start: int) -> int:
    """One row of partition 0 a user, from an offset on."""
    offsets = [(0, start + number) for number in range(len(users))]
    return lake.append(offsets, {0: start + len(users)}, ids=[(user, 0) for user in users])


def eraser(lake: Lake, user: str = "ann", **options: float) -> Eraser:
    return Eraser(lambda: lake.table, Search(USER, user), **options)


def users(table: Table, snapshot_id: int | None = None) -> list[str]:
    return sorted(table.scan(snapshot_id=snapshot_id).to_arrow().column(USER).to_pylist())


def files(lake: Lake) -> set[str]:
    return {str(path) for path in (lake.folder / "warehouse").rglob("*") if path.suffix in {".parquet", ".avro"}}


def test_rows_go_and_the_offset_map_and_all_other_rows_stay(lake: Lake) -> None:
    store(lake, ["ann", "bob", "ann"], 0)
    store(lake, ["cid"], 3)
    done = eraser(lake).run()
    assert (done.rows, done.files, done.snapshots) == (2, 1, 2)
    assert users(lake.table) == ["bob", "cid"]
    head = lake.table.current_snapshot()
    assert head is not None
    carried = positions_in(head)
    assert carried is not None
    assert carried["enriched-events"].ends == {0: 4}


def test_no_snapshot_tag_or_file_holds_the_rows_afterwards(lake: Lake) -> None:
    before = store(lake, ["bob"], 0)
    store(lake, ["ann", "bob"], 1)
    tagged = store(lake, ["ann"], 3)
    lake.table.manage_snapshots().create_tag(tagged, "hour-2026-11-25T13Z").commit()
    done = eraser(lake).run()
    assert done.tags == ("hour-2026-11-25T13Z",)
    assert lake.table.metadata.snapshots[0].snapshot_id == before, "it never held the rows"
    assert all("ann" not in users(lake.table, each.snapshot_id) for each in lake.table.metadata.snapshots)
    assert done.deleted_files > 0
    assert [path for path in files(lake) if b"ann" in Path(path).read_bytes()] == [], "neither rows nor bounds"


def test_a_file_with_nobody_else_in_it_is_left_out(lake: Lake) -> None:
    store(lake, ["ann", "ann"], 0)
    assert eraser(lake).run().rows == 2
    assert users(lake.table) == []


def test_a_table_without_the_person_is_not_touched(lake: Lake) -> None:
    head, kept = store(lake, ["bob"], 0), files(lake)
    done = eraser(lake).run()
    assert (done.rows, done.snapshots, done.deleted_files) == (0, 0, 0)
    assert lake.table.metadata.current_snapshot_id == head
    assert files(lake) == kept


def test_rows_that_only_history_holds_go_without_a_new_snapshot(lake: Lake) -> None:
    first = store(lake, ["ann"], 0)
    lake.table.overwrite(pa_rows(lake, ["bob"]), snapshot_properties={"headgate.positions": positions({0: 1})})
    head = lake.table.metadata.current_snapshot_id
    done = eraser(lake).run()
    assert (done.rows, done.snapshots) == (0, 1)
    assert lake.table.metadata.current_snapshot_id == head
    assert lake.table.snapshot_by_id(first) is None


def pa_rows(lake: Lake, names: list[str]) -> pa.Table:
    rows = [
        {"event_id": name, "agent_metadata": {"revision": 0}, "_topic": "t", "_kafka_partition": 0, "_offset": 9}
        for name in names
    ]
    return pa.Table.from_pylist(rows, lake.table.schema().as_arrow())


class Raced:
    """Loads the table, and lets a writer commit after each load, a few times; its first commit holds the person too."""

    begin = 10

    def __init__(self, lake: Lake, times: int) -> None:
        self.lake = lake
        self.left = times
        self.stored = self.begin

    def __call__(self) -> Table:
        table = self.lake.table
        if self.left:
            self.left -= 1
            names = ["dan", "ann"] if self.stored == self.begin else ["dan"]
            store(self.lake, names, self.stored)
            self.stored += len(names)
        return table


def test_rows_of_a_writer_that_was_faster_are_neither_lost_nor_left(lake: Lake) -> None:
    store(lake, ["ann", "bob"], 0)
    done = Eraser(raced := Raced(lake, 4), Search(USER, "ann")).run()
    assert (done.rows, done.conflicts) == (2, 2)
    assert users(lake.table) == ["bob", "dan", "dan", "dan", "dan"]
    head = lake.table.current_snapshot()
    assert head is not None
    carried = positions_in(head)
    assert carried is not None
    assert carried["enriched-events"].ends == {0: raced.stored}


def test_it_gives_up_where_writers_are_always_faster(lake: Lake) -> None:
    store(lake, ["ann", "bob"], 0)
    with pytest.raises(UnavailableError, match="pause its writers"):
        Eraser(Raced(lake, 10_000), Search(USER, "ann"), timeout_s=0.2).run()
    assert "ann" in users(lake.table)


@pytest.mark.parametrize("landed", [True, False])
def test_an_answer_that_is_lost_is_found_in_the_table(
    lake: Lake, *, landed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(lake, ["ann", "bob"], 0)
    commit = type(lake.table.catalog).commit_table

    def lossy(*arguments: object) -> None:
        if landed:
            commit(*arguments)  # type: ignore[arg-type]  # passed on
        raise OSError("no answer")

    monkeypatch.setattr(type(lake.table.catalog), "commit_table", lossy)
    if not landed:
        with pytest.raises(UnavailableError, match="run it again"):
            eraser(lake).run()
        assert users(lake.table) == ["ann", "bob"]
        return
    assert eraser(lake).run().rows == 1
    assert users(lake.table) == ["bob"]


def test_a_branch_with_the_rows_is_somebody_elses_to_drop(lake: Lake) -> None:
    snapshot = store(lake, ["ann"], 0)
    lake.table.manage_snapshots().create_branch(snapshot, "audit").commit()
    with pytest.raises(RejectedError, match="branch audit"):
        eraser(lake).run()


def test_a_head_without_an_offset_map_is_refused(lake: Lake) -> None:
    lake.append([(0, 0)], None, ids=[("ann", 0)])
    with pytest.raises(RejectedError, match=r"headgate\.positions"):
        eraser(lake).run()


def test_a_column_that_is_not_there_is_told(lake: Lake) -> None:
    store(lake, ["ann"], 0)
    with pytest.raises(RejectedError, match="no column"):
        Search("payload.user", "ann").run(lake.table)


def test_a_refusal_by_the_catalog_is_a_conflict(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    store(lake, ["ann", "bob"], 0)
    commit, refusals = type(lake.table.catalog).commit_table, iter([True, True])

    def refusing(*arguments: object) -> object:
        if next(refusals, False):
            raise CommitFailedException("moved on")
        return commit(*arguments)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(type(lake.table.catalog), "commit_table", refusing)
    assert eraser(lake).run().conflicts == 2


def test_a_hashed_key_is_found_by_the_writers_hmac(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"k" * 32 + b"\n")
    subject = Subject("ann", read_pii_key(path))
    assert subject.stored_as("hash") == hmac.new(b"k" * 32, b"ann", hashlib.sha256).hexdigest()
    assert subject.stored_as("keep") == "ann"
    assert "kkk" not in repr(subject)


def test_a_hash_without_its_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PII_KEY_FILE"):
        Subject("ann").stored_as("hash")
    path = tmp_path / "key"
    path.write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="5 bytes"):
        read_pii_key(path)
