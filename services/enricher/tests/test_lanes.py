"""Lanes keep order within a key and let other keys pass."""

from __future__ import annotations

from collections import deque

from headgate_enricher.lanes import Lanes
from hypothesis import given
from hypothesis import strategies as st


def test_a_later_event_of_a_key_waits_behind_a_slow_one() -> None:
    lanes: Lanes[str] = Lanes()
    assert lanes.enter(b"k", "slow", slow=True)
    assert not lanes.enter(b"k", "later", slow=False)
    assert lanes.waiting == 1
    assert lanes.leave(b"k") == ["later"]
    assert lanes.waiting == 0


def test_other_keys_pass_a_slow_event() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.enter(b"k", "slow", slow=True)
    assert lanes.enter(b"other", "fast", slow=False)


def test_leaving_stops_at_the_next_slow_event_which_holds_the_lane() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.enter(b"k", "1", slow=True)
    for item, slow in (("2", False), ("3", True), ("4", False)):
        lanes.enter(b"k", item, slow=slow)
    assert lanes.leave(b"k") == ["2", "3"]
    assert not lanes.enter(b"k", "5", slow=False)
    assert lanes.leave(b"k") == ["4", "5"]
    assert lanes.enter(b"k", "6", slow=False)


def test_events_without_a_key_never_wait() -> None:
    lanes: Lanes[str] = Lanes()
    assert lanes.enter(None, "slow", slow=True)
    assert lanes.enter(None, "fast", slow=False)
    assert lanes.leave(None) == []


@given(
    events=st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.booleans()), max_size=60),
    picks=st.lists(st.integers(0, 1000), max_size=60),
)
def test_items_go_in_input_order_per_key_whatever_finishes_first(
    events: list[tuple[bytes, bool]], picks: list[int]
) -> None:
    lanes: Lanes[int] = Lanes()
    gone: dict[bytes, list[int]] = {}
    slow_ones: dict[bytes, int] = {}

    def go(key: bytes, number: int) -> None:
        if events[number][1]:
            assert key not in slow_ones, "two slow items of a key at once"
            slow_ones[key] = number
        else:
            gone.setdefault(key, []).append(number)

    def finish(key: bytes) -> None:
        gone.setdefault(key, []).append(slow_ones.pop(key))
        for number in lanes.leave(key):
            go(key, number)

    waiting = deque(picks)
    for number, (key, slow) in enumerate(events):
        if lanes.enter(key, number, slow=slow):
            go(key, number)
        if waiting and slow_ones:
            finish(sorted(slow_ones)[waiting.popleft() % len(slow_ones)])
    while slow_ones:
        finish(next(iter(slow_ones)))
    expected: dict[bytes, list[int]] = {}
    for number, (key, _) in enumerate(events):
        expected.setdefault(key, []).append(number)
    assert gone == expected
    assert lanes.waiting == 0
