"""Maintenance of a real table, round by round."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from headgate_writer.errors import SourcesGoneError, UnknownOutcomeError
from headgate_writer.maintenance.compaction import Compacted, compact
from headgate_writer.maintenance.packing import CompactionPolicy
from headgate_writer.maintenance.retention import Retention
from headgate_writer.positions import PROPERTY
from pyiceberg.manifest import ManifestContent
from pyiceberg.table.snapshots import Operation
from pyiceberg.transforms import IdentityTransform

from .upkept import BY_DAY, TOPIC, UpkeptTable, drive, rows

if TYPE_CHECKING:
    from headgate_schemas import PartitionField
    from pyiceberg.table import CommitTableResponse


@pytest.fixture
def upkept(tmp_path: Path) -> UpkeptTable:
    return UpkeptTable(tmp_path)


def live(upkept: UpkeptTable) -> int:
    return len(upkept.survey().files)


@pytest.mark.parametrize("partition_by", [BY_DAY, ()], ids=["by day", "unpartitioned"])
def test_small_files_become_one_sorted_by_event_time_and_rows_and_positions_stay(
    tmp_path: Path, partition_by: tuple[PartitionField, ...]
) -> None:
    upkept = UpkeptTable(tmp_path, partition_by=partition_by)
    for _ in range(4):
        upkept.store(3)
    before = {file.path: file.sequence_number for file in upkept.survey().files}
    upkept.maintain()
    (file,) = upkept.survey().files
    upkept.assert_whole()
    assert file.sequence_number == max(before.values())
    times = pq.read_table(Path(file.path.removeprefix("file://")))["at"].to_pylist()
    assert times == sorted(times)
    snapshot = upkept.table().current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary.operation is Operation.REPLACE
    assert PROPERTY in snapshot.summary.additional_properties
    assert snapshot.summary.additional_properties["total-data-files"] == "1"
    assert snapshot.summary.additional_properties["total-records"] == "12"


def test_a_table_s_own_sort_order_goes_before_event_time(upkept: UpkeptTable) -> None:
    with upkept.table().update_sort_order() as order:
        order.desc("_kafka_partition", IdentityTransform()).asc("_offset", IdentityTransform())
    for _ in range(2):
        upkept.store(partition=0)
        upkept.store(partition=1)
    upkept.maintain()
    (file,) = upkept.survey().files
    found = pq.read_table(Path(file.path.removeprefix("file://")))
    assert found["_kafka_partition"].to_pylist() == [1, 1, 0, 0]
    assert found["_offset"].to_pylist() == [0, 1, 0, 1]
    upkept.assert_whole()


def test_each_partition_value_is_compacted_by_itself(upkept: UpkeptTable) -> None:
    for _ in range(4):
        upkept.store(4, days=2)
    upkept.maintain()
    assert sorted(file.partition for file in upkept.survey().files) == [(0,), (1,)]
    upkept.assert_whole()


def test_what_was_stored_while_a_compaction_ran_is_kept(upkept: UpkeptTable) -> None:
    for _ in range(4):
        upkept.store()
    drive(upkept.maintainer.round(), until=lambda found: upkept.store() if isinstance(found, Compacted) else False)
    upkept.assert_whole()
    assert live(upkept) == 2


def test_a_compaction_whose_sources_are_gone_is_thrown_away(upkept: UpkeptTable) -> None:
    for _ in range(4):
        upkept.store()
    late = upkept.handle()
    late.refresh()
    survey = upkept.survey()
    compacted = compact(late.metadata, late.io, survey, [survey.files], None)
    upkept.maintain()
    with pytest.raises(SourcesGoneError):
        late.replace(late.refresh(), compacted)
    upkept.assert_whole()
    upkept.later(101)
    upkept.maintain()
    upkept.later(11)
    upkept.maintain()
    assert not Path(compacted.files[0].data_file.file_path.removeprefix("file://")).exists()
    upkept.assert_whole()


@pytest.mark.parametrize("landed", [True, False])
def test_a_compaction_without_an_answer_doubles_nothing(
    upkept: UpkeptTable, monkeypatch: pytest.MonkeyPatch, *, landed: bool
) -> None:
    for _ in range(4):
        upkept.store()
    real, lost = upkept.catalog.commit_table, []

    def once_lost(*arguments: Any) -> CommitTableResponse:
        if lost:
            return real(*arguments)
        lost.append(1)
        if landed:
            real(*arguments)
        raise ConnectionResetError("the answer was lost")

    monkeypatch.setattr(upkept.catalog, "commit_table", once_lost)
    upkept.maintain()
    assert live(upkept) == 1
    upkept.assert_whole()


def test_a_table_with_row_level_deletes_is_not_compacted(upkept: UpkeptTable, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(4):
        upkept.store()
    late = upkept.handle()
    late.refresh()
    survey = upkept.survey()
    compacted = compact(late.metadata, late.io, survey, [survey.files], None)
    head = late.refresh()
    snapshot = late._table.current_snapshot()
    assert snapshot is not None
    manifests = snapshot.manifests(late.io)
    manifests[0][3] = ManifestContent.DELETES
    monkeypatch.setattr(type(snapshot), "manifests", lambda *_: manifests)
    with pytest.raises(SourcesGoneError, match="row-level"):
        late.replace(head, compacted)


def test_files_of_expired_snapshots_go_after_their_grace_and_not_before(upkept: UpkeptTable) -> None:
    for _ in range(4):
        upkept.store()
    sources = [file.path for file in upkept.survey().files]
    upkept.maintain()
    for _ in range(6):
        upkept.store()
    upkept.maintain()
    assert upkept.maintainer.condemned > 0
    assert all(Path(path.removeprefix("file://")).exists() for path in sources)
    upkept.later(9)
    upkept.maintain()
    assert all(Path(path.removeprefix("file://")).exists() for path in sources)
    upkept.later(2)
    upkept.maintain()
    assert not any(Path(path.removeprefix("file://")).exists() for path in sources)
    upkept.assert_whole()


def test_an_orphan_goes_once_it_is_old_enough_and_what_is_no_table_file_stays(upkept: UpkeptTable) -> None:
    upkept.store()
    head = upkept.writer.refresh()
    orphan = upkept.writer.write(rows(5)).files[0]
    path = Path(orphan.file_path.removeprefix("file://"))  # type: ignore[attr-defined]  # it is a data file
    note = path.parent / "README.txt"
    note.write_text("why this folder is here", "utf-8")
    upkept.later(99)
    upkept.maintain(everything=True)
    assert upkept.maintainer.condemned == 0
    upkept.later(2)
    upkept.maintain(everything=True)
    upkept.later(11)
    upkept.maintain()
    assert not path.exists()
    assert note.exists()
    assert head == upkept.writer.refresh()
    upkept.assert_whole()


def test_an_orphan_that_is_committed_after_it_was_listed_is_spared(upkept: UpkeptTable) -> None:
    upkept.store()
    written = upkept.writer.write(rows(1))
    upkept.later(101)
    upkept.maintain(everything=True)
    assert upkept.maintainer.condemned == 1
    head = upkept.writer.refresh()
    assert head.positions is not None
    upkept.writer.commit(head, written, head.positions.advanced(TOPIC, {0: 2}))
    upkept.next[0] = 2
    upkept.later(11)
    upkept.maintain()
    assert upkept.maintainer.condemned == 0
    upkept.assert_whole()


def test_a_file_that_is_live_under_another_spelling_of_its_location_is_no_orphan(upkept: UpkeptTable) -> None:
    upkept.store()
    survey = upkept.survey()
    spelled = type(survey)(frozenset(path.replace("file://", "/elsewhere") for path in survey.paths), {}, False)  # noqa: FBT003
    assert {path.name for path in upkept.files()} <= spelled.names() | set(upkept.unreferenced())


def test_an_idle_table_expires_by_itself(tmp_path: Path) -> None:
    upkept = UpkeptTable(tmp_path, retention=Retention(most=100, least=1, age_s=0.0))
    other = UpkeptTable.handle(upkept)
    other._retention = None
    upkept.writer = other
    for _ in range(3):
        upkept.store()
    assert len(upkept.table().metadata.snapshots) == 3
    upkept.maintain()
    assert len(upkept.table().metadata.snapshots) == 1
    upkept.assert_whole()


def test_a_quiet_partition_is_merged_and_stays_as_it_is_then(tmp_path: Path) -> None:
    upkept = UpkeptTable(tmp_path, compaction=CompactionPolicy(fan_in=100, cold_s=50))
    for _ in range(3):
        upkept.store()
    upkept.maintain()
    assert live(upkept) == 3
    upkept.later(51)
    upkept.maintain()
    assert live(upkept) == 1
    snapshots = len(upkept.table().metadata.snapshots)
    upkept.maintain()
    assert len(upkept.table().metadata.snapshots) == snapshots


def test_an_answer_lost_on_expiry_is_settled_by_the_next_look(
    upkept: UpkeptTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    upkept.writer._retention = None
    for _ in range(8):
        upkept.store()

    def lost(*_: Any) -> bool:
        raise UnknownOutcomeError("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(upkept.maintainer.table, "expire", lost)
        drive(upkept.maintainer.round())
    upkept.assert_whole()
    upkept.maintain()
    assert len(upkept.table().metadata.snapshots) <= 5
    upkept.assert_whole()
