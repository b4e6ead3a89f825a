"""``headgate table verify``: what it finds in a table, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from headgate_admin.main import make_app
from headgate_admin.tables.reachability import References, StoredFile, compare
from headgate_admin.tables.rows import row_index
from headgate_admin.tables.verification import LogComparison, partition_reports
from headgate_runtime.records import TopicPartition
from typer.testing import CliRunner

from .lake import NAME, TOPIC, Lake

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    monkeypatch.chdir(tmp_path)
    lake = Lake(tmp_path)
    monkeypatch.setenv("HEADGATE_ADMIN_CATALOG", json.dumps(lake.properties))
    yield lake
    lake.close()


def verify(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(make_app(), ["table", "verify", NAME, "--json", *arguments])
    return result.exit_code, json.loads(result.stdout)


def test_a_table_that_is_as_its_map_says_is_clean(lake: Lake) -> None:
    lake.append([(0, 0), (0, 1), (1, 0)], {0: 2, 1: 1})
    head = lake.append([(0, 3), (1, 1)], {0: 5, 1: 2})
    code, document = verify()
    assert (code, document["findings"], document["snapshot_id"]) == (0, [], head)
    first, second = document["partitions"]
    assert (first["rows"], first["first"], first["last"], first["position"], first["without_row"]) == (3, 0, 3, 5, 2)
    assert (second["rows"], second["without_row"]) == (2, 0)
    assert document["chain"] == {"snapshots": 2, "whole": True, "problems": []}
    assert (document["files"]["head"], document["files"]["orphans"]) == (2, 0)
    assert document["repeated_versions"] == {"kinds": 0, "example": None}


def test_a_person_sees_a_table(lake: Lake) -> None:
    lake.append([(0, 0)], {0: 1})
    result = CliRunner().invoke(make_app(), ["table", "verify", NAME])
    assert result.exit_code == 0
    assert "enriched-events/0" in result.stdout
    assert "1 rows in 1 files; 1 snapshots; 0 files (0.0 MB) that nothing refers to" in result.stdout
    assert "nothing is wrong" in result.stdout


def test_an_offset_that_is_stored_twice_is_found(lake: Lake) -> None:
    lake.append([(0, 0), (0, 1), (0, 2)], {0: 3})
    lake.append([(0, 1), (0, 2), (0, 3)], {0: 4})
    code, document = verify()
    assert code == 1
    assert document["findings"] == [f"{TOPIC}/0: 2 rows are there twice, the first of offset 1"]


def test_rows_that_are_not_below_their_position_are_found(lake: Lake) -> None:
    lake.append([(0, 0), (0, 1), (1, 7)], {0: 1})
    code, document = verify()
    assert code == 1
    assert document["findings"] == [
        f"{TOPIC}/0: 1 rows are not below the position 1: the writer would store them again",
        f"{TOPIC}/1: 1 rows are not below no position: the writer would store them again",
    ]


def test_a_position_that_moves_back_is_found_in_the_chain(lake: Lake) -> None:
    lake.append([(0, 0), (0, 1)], {0: 2, 1: 9})
    lake.append([], None)
    later = lake.append([(0, 2)], {0: 1})
    code, document = verify()
    assert code == 1
    assert [finding for finding in document["findings"] if "moves" in finding] == [
        f"snapshot {later} moves {TOPIC}/0 back from 2 to 1",
        f"snapshot {later} moves {TOPIC}/1 back from 9 to 0",
    ]


def test_a_topic_that_was_created_again_starts_over(lake: Lake) -> None:
    lake.append([(0, 5)], {0: 6})
    lake.append([(0, 1)], {0: 2}, topic_id="another")
    assert verify()[1]["chain"]["problems"] == []


def test_a_head_without_a_map_is_found(lake: Lake) -> None:
    lake.append([(0, 0)], None)
    code, document = verify()
    assert code == 1
    assert "no snapshot carries an offset map" in document["findings"][-1]


def test_a_data_file_that_is_gone_is_found(lake: Lake) -> None:
    lake.append([(0, 0)], {0: 1})
    [task] = lake.table.scan().plan_files()
    lake.append([(0, 1)], {0: 2})
    Path(urlsplit(task.file.file_path).path).unlink()
    code, document = verify()
    assert code == 1
    assert document["findings"] == [f"file {task.file.file_path} is not there"]
    assert [(each["rows"], each["without_row"]) for each in document["partitions"]] == [(1, 1)]


def test_a_file_of_an_earlier_snapshot_that_is_gone_is_found(lake: Lake) -> None:
    lake.append([(0, 0)], {0: 1})
    [task] = lake.table.scan().plan_files()
    lake.append([(0, 1)], {0: 2})
    lake.table.delete("_offset = 0")
    Path(urlsplit(task.file.file_path).path).unlink()
    code, document = verify()
    assert (code, document["files"]["head"]) == (1, 1)
    assert document["findings"] == [f"file {task.file.file_path} is not there"]


def test_files_that_nothing_refers_to_are_counted_and_are_no_finding(lake: Lake) -> None:
    lake.append([(0, 0)], {0: 1})
    (lake.folder / "warehouse" / "lakehouse" / "enriched_events" / "data" / "left.parquet").write_bytes(b"12345")
    code, document = verify()
    assert (code, document["files"]["orphans"], document["files"]["orphan_bytes"]) == (0, 1, 5)
    assert document["files"]["oldest_orphan_s"] >= 0


def test_a_file_elsewhere_is_asked_for_and_the_oldest_orphan_counts() -> None:
    paths = frozenset({"b/elsewhere"})
    references = References(paths, {"b/elsewhere": "s3://b/elsewhere"}, paths)
    stored = {"b/old": StoredFile(3, 1_000), "b/new": StoredFile(4, 9_000)}
    files = compare(references, stored, lambda location: location == "s3://b/elsewhere", now_ms=10_000)
    assert (files.missing, files.orphans, files.orphan_bytes, files.oldest_orphan_s) == ([], 2, 7, 9.0)


def test_records_with_the_same_key_and_version_are_found(lake: Lake) -> None:
    lake.append([(0, 0), (0, 1), (0, 2)], {0: 3}, ids=[("a", 0), ("a", 0), ("a", 1)])
    code, document = verify()
    assert code == 1
    assert document["repeated_versions"] == {"kinds": 1, "example": f"{TOPIC}/0/0, {TOPIC}/0/1"}
    assert "1 times several records have the same key and version" in document["findings"][0]


def test_only_rows_of_a_topic_are_looked_at_where_one_is_named(lake: Lake) -> None:
    lake.append([(0, 0), (0, 0)], {0: 1})
    assert verify("--topic", "another")[1]["partitions"] == []
    assert verify("--topic", TOPIC)[0] == 1


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    ("name", "code", "told"),
    [("lakehouse.nothing", 1, "No table lakehouse.nothing"), ("nothing", 2, "'nothing' has no namespace")],
)
def test_a_table_that_is_not_there_is_refused(name: str, code: int, told: str) -> None:
    result = CliRunner().invoke(make_app(), ["table", "verify", name])
    assert (result.exit_code, told in result.stderr) == (code, True)


def test_a_catalog_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADGATE_ADMIN_CATALOG", raising=False)
    result = CliRunner().invoke(make_app(), ["table", "verify", NAME])
    assert (result.exit_code, "HEADGATE_ADMIN_CATALOG" in result.stderr) == (2, True)


def test_offsets_without_a_row_are_told_apart_by_the_log() -> None:
    # 0-1 left the log; 2 a row; 3 missing; 4 a dead letter; 5 a row; 6 a mark of a transaction; 7 a row, not yet passed.
    place = TopicPartition("t", 0)
    with row_index() as index:
        index.take_ends([(place, 7)])
        rows = pa.table(
            [["t"] * 3, pa.array([0] * 3, pa.int32()), [2, 5, 7], pa.nulls(3, pa.string()), pa.nulls(3, pa.int64())],
            ["topic", "part", "place", "key", "version"],
        )
        index._insert("rows", rows)
        with index.taking("log") as take:
            for offset in (2, 3, 4, 5):
                take("t", 0, offset)
        with index.taking("letters") as take:
            take("t", 0, 4)
        [report] = partition_reports(index, {place: 2})
    assert (report.rows, report.without_row, report.beyond) == (3, 5, 1)
    assert report.log == LogComparison(left=2, control=1, dead_lettered=1, missing=1, first_missing=3)
    assert [finding for finding in report.findings() if "neither" in finding] == [
        "t/0: 1 committed records have neither row nor dead letter, the first at offset 3"
    ]
