"""The offset map in the snapshot summary."""

from __future__ import annotations

import pytest
from headgate_writer.errors import UnsafeToWriteError
from headgate_writer.policy import CommitPolicy
from headgate_writer.positions import PROPERTY, Incarnation, Positions, positions_of
from hypothesis import given
from hypothesis import strategies as st

ORDERS = Incarnation("orders", "cluster", "id")
OFFSETS = st.dictionaries(st.integers(0, 500), st.integers(0, 2**62), max_size=20)


@given(st.dictionaries(st.text(min_size=1), st.tuples(st.text(), st.text(), OFFSETS), max_size=4))
def test_the_map_survives_its_text(topics: dict[str, tuple[str, str, dict[int, int]]]) -> None:
    positions = Positions({Incarnation(name, c, i): offsets for name, (c, i, offsets) in topics.items()})
    assert Positions.parse(positions.dump()) == positions


@pytest.mark.parametrize("text", ["", "x", "[]", '{"orders": 5}', '{"orders": {"cluster": "c", "id": "i"}}'])
def test_what_is_no_map_is_refused(text: str) -> None:
    with pytest.raises(UnsafeToWriteError, match=PROPERTY):
        Positions.parse(text)


def test_advancing_touches_only_the_named_partitions() -> None:
    other = Incarnation("payments", "cluster", "other")
    before = Positions().advanced(other, {0: 3}).advanced(ORDERS, {0: 5, 1: 6})
    after = before.advanced(ORDERS, {1: 9})
    assert after.of(ORDERS) == {0: 5, 1: 9}
    assert after.of(other) == {0: 3}


def test_a_partition_cannot_move_back() -> None:
    with pytest.raises(ValueError, match="orders/0 would move back from 5 to 4"):
        Positions().advanced(ORDERS, {0: 5}).advanced(ORDERS, {0: 4})


@pytest.mark.parametrize("now", [Incarnation("orders", "other", "id"), Incarnation("orders", "cluster", "new")])
def test_another_cluster_or_topic_id_is_refused_until_accepted(now: Incarnation) -> None:
    positions = Positions().advanced(ORDERS, {0: 5})
    with pytest.raises(UnsafeToWriteError, match=f"'{now}' in its list accepted_incarnations"):
        positions.of(now)
    assert positions.of(now, accepted=True) == {}
    assert positions.advanced(now, {0: 1}).topics == {now: {0: 1}}


def test_the_nearest_ancestor_with_a_map_counts() -> None:
    mine = {PROPERTY: Positions().advanced(ORDERS, {0: 5}).dump()}
    older = {PROPERTY: Positions().advanced(ORDERS, {0: 2}).dump()}
    found = positions_of(iter([{}, {"added-records": "1"}, mine, older]))
    assert found is not None
    assert found.of(ORDERS) == {0: 5}
    assert positions_of(iter([])) == Positions()
    assert positions_of(iter([{}, {}])) is None


@pytest.mark.parametrize(
    ("rows", "size_bytes", "age_s", "due"),
    [(0, 0, 99, False), (1, 1, 0.9, False), (10, 1, 0, True), (1, 100, 0, True), (1, 1, 1, True)],
)
def test_rows_or_bytes_or_time_whichever_first(rows: int, size_bytes: int, age_s: float, *, due: bool) -> None:
    policy = CommitPolicy(rows=10, size_bytes=100, interval_s=1)
    assert policy.due(rows=rows, size_bytes=size_bytes, age_s=age_s) is due
