"""Pure parts of maintenance: which files are merged, what is quiet, what is condemned, which snapshots stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from headgate_writer.maintenance.ledger import Ledger
from headgate_writer.maintenance.packing import CompactionPolicy, Quiet
from headgate_writer.maintenance.reachability import LiveFile
from headgate_writer.maintenance.retention import Retention, hour_tag
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.table.metadata import TableMetadataV2
from pyiceberg.table.refs import SnapshotRef, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import RemoveSnapshotRefUpdate, RemoveSnapshotsUpdate, SetSnapshotRefUpdate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.table.update import TableUpdate

MB = 1 << 20
HOUR_MS = 3_600_000
POLICY = CompactionPolicy(fan_in=4, size_bytes=64 * MB, cold_s=100)


def file(number: int, size: int, *, partition: int = 0, rows: int = 1) -> LiveFile:
    return LiveFile(f"f{number}", size, rows, 0, (partition,), number)


def sizes(groups: Sequence[Sequence[LiveFile]]) -> list[list[int]]:
    return [[each.size_bytes for each in group] for group in groups]


def test_too_few_small_files_of_a_growing_partition_wait() -> None:
    plan = POLICY.plan([file(n, MB) for n in range(3)], {}, target_bytes=64 * MB, row_bytes=1.0)
    assert (plan.groups, plan.small, plan.more) == ([], 3, False)


def test_enough_files_of_a_magnitude_are_merged_with_all_that_are_smaller() -> None:
    files = [file(0, 10), *(file(n, MB) for n in range(1, 5)), file(5, 20 * MB), file(6, 60 * MB)]
    plan = POLICY.plan(files, {}, target_bytes=64 * MB, row_bytes=1.0)
    assert sizes(plan.groups) == [[10, MB, MB, MB, MB]]
    assert plan.small == 6


def test_a_quiet_partition_is_merged_down_to_full_files() -> None:
    files = [file(0, 20 * MB), file(1, 30 * MB), file(2, 10 * MB), file(3, 1), file(4, 1, partition=1)]
    plan = POLICY.plan(files, {(0,): 100.0, (1,): 100.0}, target_bytes=64 * MB, row_bytes=1.0)
    assert sizes(plan.groups) == [[20 * MB, 30 * MB, 10 * MB, 1]]


def test_files_of_two_partitions_are_never_merged() -> None:
    files = [file(n, MB, partition=n % 2) for n in range(20)]
    plan = POLICY.plan(files, {}, target_bytes=64 * MB, row_bytes=1.0, everything=True)
    assert [{each.partition for each in group} for group in plan.groups] == [{(0,)}, {(1,)}]


def test_a_piece_holds_no_more_than_its_bytes_and_says_that_there_is_more() -> None:
    files = [file(n, 10 * MB, partition=n % 5) for n in range(20)]
    plan = POLICY.plan(files, {}, target_bytes=64 * MB, row_bytes=1.0)
    assert (len(plan.groups), plan.more) == (1, True)


def test_many_rows_that_compress_to_nothing_count_by_their_number() -> None:
    files = [file(n, 1000, rows=2 * MB) for n in range(8)]
    plan = POLICY.plan(files, {}, target_bytes=32 * MB, row_bytes=8.0)
    assert [len(group) for group in plan.groups] == [4]


@given(st.lists(st.tuples(st.integers(1, 100 * MB), st.integers(0, 3)), max_size=60), st.booleans())
def test_a_merge_has_two_files_at_least_fits_its_target_and_ends(
    found: list[tuple[int, int]],
    everything: bool,  # noqa: FBT001 - drawn
) -> None:
    files = [file(number, size, partition=partition) for number, (size, partition) in enumerate(found)]
    for _ in range(len(files) + 1):
        plan = POLICY.plan(files, {}, target_bytes=48 * MB, row_bytes=1.0, everything=everything)
        if not plan.groups:
            break
        for group in plan.groups:
            assert len(group) >= 2
            assert sum(each.size_bytes for each in group) <= 48 * MB
            merged = group[-1]._replace(path="+".join(each.path for each in group))
            files = [each for each in files if each not in group]
            files.append(merged._replace(size_bytes=sum(each.size_bytes for each in group)))
    else:
        pytest.fail("it never ends")
    if everything:
        by_partition = [sum(each.partition == (p,) and each.size_bytes < 24 * MB for each in files) for p in range(4)]
        full = sum(each.size_bytes >= 24 * MB for each in files)
        assert max(by_partition) <= 1 + full


def test_a_partition_is_quiet_since_its_newest_file_and_compaction_does_not_wake_it() -> None:
    quiet = Quiet()
    assert quiet.observe([file(1, MB), file(2, MB, partition=1)], 10.0) == {(0,): 0.0, (1,): 0.0}
    assert quiet.observe([file(1, MB), file(3, MB, partition=1)], 30.0) == {(0,): 20.0, (1,): 0.0}
    merged = file(1, 2 * MB)._replace(path="merged")
    assert quiet.observe([merged, file(3, MB, partition=1)], 35.0) == {(0,): 25.0, (1,): 5.0}
    assert quiet.observe([merged], 36.0) == {(0,): 26.0}


def test_a_condemned_file_has_its_grace_and_is_spared_when_it_is_referred_to_again() -> None:
    ledger = Ledger(grace_s=10, most=3)
    ledger.condemn(["a", "b"], "expired", 0.0)
    ledger.condemn(["b", "c", "d"], "orphan", 5.0)
    assert len(ledger) == 3
    assert ledger.due(9.9, 5) == {}
    assert {path: each.kind for path, each in ledger.due(10.0, 5).items()} == {"a": "expired", "b": "expired"}
    assert list(ledger.due(10.0, 1)) == ["a"]
    ledger.spare({"a"})
    ledger.strike(["b"])
    assert list(ledger.due(15.0, 5)) == ["c"]


def metadata(count: int, *, every_ms: int, refs: dict[str, SnapshotRef] | None = None) -> TableMetadataV2:
    snapshots = [
        Snapshot(
            snapshot_id=n + 1,
            parent_snapshot_id=n or None,
            sequence_number=n + 1,
            timestamp_ms=n * every_ms,
            manifest_list=f"l{n}",
        )
        for n in range(count)
    ]
    main = {"main": SnapshotRef(snapshot_id=count, snapshot_ref_type=SnapshotRefType.BRANCH)} if count else {}
    return TableMetadataV2(
        location="file:///t",
        last_column_id=0,
        schemas=[{"type": "struct", "fields": [], "schema-id": 0}],
        current_schema_id=0,
        partition_specs=[{"spec-id": 0, "fields": []}],
        default_spec_id=0,
        last_partition_id=999,
        sort_orders=[{"order-id": 0, "fields": []}],
        default_sort_order_id=0,
        last_sequence_number=count,
        last_updated_ms=0,
        snapshots=snapshots,
        current_snapshot_id=count or None,
        refs={**(refs or {}), **main},
    )


def expired(updates: tuple[TableUpdate, ...]) -> list[int]:
    return [each for update in updates if isinstance(update, RemoveSnapshotsUpdate) for each in update.snapshot_ids]


def test_snapshots_expire_by_number_a_quarter_at_a_time() -> None:
    kept = Retention(most=8, least=2, age_s=1e9)
    assert expired(kept.updates(metadata(9, every_ms=1), 10)) == []
    assert expired(kept.updates(metadata(10, every_ms=1), 10)) == [1, 2]


def test_snapshots_expire_by_age_down_to_the_least() -> None:
    kept = Retention(most=100, least=3, age_s=5, tag_hours=0)
    assert expired(kept.updates(metadata(10, every_ms=1000), 10_500)) == [1, 2, 3, 4, 5, 6]
    assert expired(kept.updates(metadata(10, every_ms=1000), 10**9)) == [1, 2, 3, 4, 5, 6, 7]


def test_the_last_snapshot_of_an_hour_is_tagged_once_the_hour_is_over_and_outlives_the_others() -> None:
    kept = Retention(most=8, least=2, age_s=1, tag_hours=2)
    table = metadata(3, every_ms=1000)
    assert not any(isinstance(each, SetSnapshotRefUpdate) for each in kept.updates(table, HOUR_MS - 1))
    tags = [each for each in kept.updates(table, HOUR_MS) if isinstance(each, SetSnapshotRefUpdate)]
    assert [(each.ref_name, each.snapshot_id) for each in tags] == [("hour-1970-01-01T00Z", 3)]


def test_a_tag_whose_time_is_over_goes_together_with_its_snapshot_and_foreign_tags_stay() -> None:
    tag = SnapshotRef(snapshot_id=1, snapshot_ref_type=SnapshotRefType.TAG)
    foreign = SnapshotRef(snapshot_id=2, snapshot_ref_type=SnapshotRefType.TAG)
    refs = {hour_tag(0): tag, "audit": foreign, "hour-glass": foreign}
    kept = Retention(most=100, least=1, age_s=1, tag_hours=2)
    table = metadata(5, every_ms=HOUR_MS // 2, refs=refs)
    updates = kept.updates(table, 2 * HOUR_MS + 1)
    assert [each for each in updates if isinstance(each, RemoveSnapshotRefUpdate)] == []
    assert expired(updates) == [3, 4]
    updates = kept.updates(table, 3 * HOUR_MS)
    assert [each.ref_name for each in updates if isinstance(each, RemoveSnapshotRefUpdate)] == [hour_tag(0)]
    assert expired(updates) == [1, 3, 4]


def test_an_empty_table_retains_nothing() -> None:
    assert Retention().updates(metadata(0, every_ms=1), 10) == ()
