from __future__ import annotations

import pytest
from headgate_producer.timeline import fit, parse_iso, spread, time_parser
from hypothesis import given
from hypothesis import strategies as st

DAY_MS = 86_400_000
times = st.lists(st.integers(min_value=0, max_value=4_000_000_000_000), min_size=1, max_size=60)
now = st.integers(min_value=1_000_000_000_000, max_value=4_000_000_000_000)


@given(times, now, st.none() | st.integers(min_value=1, max_value=10 * DAY_MS))
def test_moved_times_end_at_the_end_keep_their_order_and_cover_the_span(
    recorded: list[int], end_ms: int, span_ms: int | None
) -> None:
    moved = fit(recorded, end_ms, span_ms)

    assert max(moved) == end_ms
    by_time = sorted(range(len(recorded)), key=lambda index: recorded[index])
    assert [moved[index] for index in by_time] == sorted(moved)
    extent = max(recorded) - min(recorded)
    assert max(moved) - min(moved) == (extent if span_ms is None or extent == 0 else span_ms)


@given(times, now, st.integers(min_value=1, max_value=DAY_MS))
def test_moving_is_deterministic_and_independent_of_the_rows_order(
    recorded: list[int], end_ms: int, span_ms: int
) -> None:
    forwards = fit(recorded, end_ms, span_ms)

    assert fit(recorded[::-1], end_ms, span_ms)[::-1] == forwards


@given(times, st.integers(min_value=1, max_value=10 * DAY_MS))
def test_spread_times_ascend_and_stay_before_the_next_recorded_time(recorded: list[int], resolution_ms: int) -> None:
    recorded.sort()

    moved = spread(recorded, resolution_ms)

    assert moved == sorted(moved)
    for before, after in zip(recorded, moved, strict=True):
        assert before <= after < before + resolution_ms


def test_equal_times_are_spread_evenly_over_their_resolution() -> None:
    assert spread([0, 0, 0, 0, DAY_MS], DAY_MS) == [0, DAY_MS // 4, DAY_MS // 2, 3 * DAY_MS // 4, DAY_MS]


def test_nothing_is_moved_where_there_is_nothing() -> None:
    assert fit([], 5, 3) == []
    assert spread([], DAY_MS) == []


@pytest.mark.parametrize(
    ("form", "cell", "expected"),
    [
        ("%Y%m%d", "19970101", 852_076_800_000),
        ("%Y%m%d", 19970101, 852_076_800_000),
        ("%Y-%m-%d %H:%M %z", "1997-01-01 01:00 +0100", 852_076_800_000),
        ("epoch_ms", "852076800001", 852_076_800_001),
        ("epoch_s", "852076800.25", 852_076_800_250),
        ("iso8601", "1997-01-01T00:00:00.001Z", 852_076_800_001),
    ],
)
def test_a_cell_becomes_milliseconds(form: str, cell: object, expected: int) -> None:
    assert time_parser(form)(cell) == expected


@given(st.datetimes().filter(lambda moment: moment.year > 1))
def test_iso_milliseconds_are_exact(moment: object) -> None:
    text = f"{str(moment).replace(' ', 'T')}Z"
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    expected_ms = int((fraction + "000")[:3]) if fraction else 0

    assert parse_iso(text) % 1000 == expected_ms
    assert parse_iso(text) - expected_ms == parse_iso(f"{seconds}Z")


def test_a_time_without_a_zone_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="end it with Z"):
        parse_iso("1997-01-01T00:00:00")
