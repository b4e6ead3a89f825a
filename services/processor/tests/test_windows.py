"""Windows over a partition: what they come to, when they close, and what comes too late, whatever is killed meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .cluster import MINUTE_MS, START_MS, Cluster, definition, event, sessions, stepped, units

KINDS: list[dict[str, Any]] = [
    {"name": "1m", "kind": "tumbling", "size": "1m"},
    {"name": "10m", "kind": "hopping", "size": "10m", "step": "5m"},
    {"name": "visit", "kind": "session", "gap": "3m"},
]
FAR = 100 * MINUTE_MS


def test_a_window_closes_once_the_watermark_is_past_its_end_and_grace() -> None:
    cluster = Cluster(definition(grace="5s"), out_of_orderness_s=2)
    cluster.send(event(at=1_000), event(at=MINUTE_MS + 6_999))
    cluster.run()
    assert cluster.profiles() == {}
    cluster.send(event(at=MINUTE_MS + 7_000))
    cluster.run()
    assert list(cluster.profiles()) == [("user", "activity_1m", 0, MINUTE_MS)]


def test_sums_are_exact_and_split_by_currency() -> None:
    cluster = Cluster()
    paid = [(0.1, "EUR"), (0.2, "EUR"), (1e12 + 0.0001, "EUR"), (19.99, "USD"), (None, None)]
    for amount, currency in paid:
        cluster.send(event(payload__attributes__amount=amount, payload__attributes__currency=currency))
    cluster.send(event(at=FAR))
    cluster.run()
    [window] = cluster.profiles().values()
    assert window["events"] == 5
    assert {name: units(written) for name, written in window["sums"].items()} == {
        "amount.EUR": 1_000 + 2_000 + 10**16 + 1,
        "amount.USD": 199_900,
    }


def test_least_largest_distinct_and_counts_are_those_of_the_window() -> None:
    aggregates = [
        {"name": "least", "kind": "min", "of": "payload.attributes.amount"},
        {"name": "largest", "kind": "max", "of": "payload.attributes.amount"},
        {"name": "countries", "kind": "distinct", "of": "payload.attributes.country", "at_most": 2},
        {"name": "failures", "kind": "count", "where": {"field": "payload.attributes.outcome", "equals": "failure"}},
    ]
    windows = [{"name": "4m", "kind": "hopping", "size": "4m", "step": "2m"}]
    cluster = Cluster(definition(windows=windows, aggregates=aggregates))
    for at, amount, country, outcome in [(0, 3.0, "DE", None), (1, 1.0, "FR", "failure"), (150_000, 2.0, "GB", None)]:
        changes = {"amount": amount, "country": country, "outcome": outcome}
        cluster.send(event(at=at, **{f"payload__attributes__{name}": value for name, value in changes.items()}))
    cluster.send(event(at=FAR))
    cluster.run()
    window = cluster.profiles()["user", "activity_4m", 0, 4 * MINUTE_MS]
    assert window["values"] == {"least": 1.0, "largest": 3.0}
    assert window["counts"] == {"countries": 2, "failures": 1}
    assert window["capped"] == ["countries"]
    assert cluster.profiles()["user", "activity_4m", -2 * MINUTE_MS, 2 * MINUTE_MS]["events"] == 2


def test_an_event_told_again_after_a_person_has_decided_counts_once() -> None:
    cluster = Cluster()
    cluster.send(event(), event(agent_metadata__revision=1, agent_metadata__tier="human"), event(at=FAR))
    cluster.run()
    assert [window["events"] for window in cluster.profiles().values()] == [1]
    assert cluster.metric("headgate_processor_events_passed_over_total") == 1
    assert cluster.committed() == 3


def test_an_event_behind_its_window_goes_to_the_late_topic_as_it_is() -> None:
    cluster = Cluster()
    cluster.send(event(at=0), event(at=2 * MINUTE_MS), event("slow", at=10), event(at=FAR))
    cluster.run()
    assert {key[:2] + key[2:3] for key in cluster.profiles()} == {
        ("user", "activity_1m", 0),
        ("user", "activity_1m", 2 * MINUTE_MS),
    }
    [late] = cluster.broker.records("enriched-events.late")
    assert late.value == cluster.encoder.encode(event("slow", at=10))
    assert dict(late.headers)["late-for"] == b"activity"
    assert cluster.metric("headgate_processor_events_late_total", definition="activity") == 1


def test_an_event_behind_one_window_still_counts_in_those_that_are_open() -> None:
    cluster = Cluster(definition(windows=[{"name": "4m", "kind": "hopping", "size": "4m", "step": "2m"}]))
    cluster.send(event(at=0), event(at=2 * MINUTE_MS + 1), event("slow", at=10), event(at=FAR))
    cluster.run()
    assert {key[2] for key in cluster.profiles() if key[0] == "slow"} == {0}
    assert len(cluster.broker.records("enriched-events.late")) == 1


def test_an_event_dated_far_ahead_does_not_make_all_others_late() -> None:
    cluster = Cluster(max_ahead_s=60)
    wrong = event("wrong", at=1_000 * FAR)
    cluster.append(cluster.encoder.encode(wrong), at=START_MS)
    cluster.send(event(at=30_000), event(at=FAR))
    cluster.run()
    assert ("user", "activity_1m", 0, MINUTE_MS) in cluster.profiles()
    assert cluster.broker.records("enriched-events.late") == []


def test_windows_of_an_account_go_to_the_partition_of_its_events() -> None:
    cluster = Cluster()
    cluster.send(event(), event(at=FAR), partition=1)
    cluster.run()
    [record] = cluster.broker.records("account-profiles")
    assert (record.partition, record.key) == (1, b"activity_1m/user")


def test_states_that_memory_has_no_room_for_come_back_from_disk() -> None:
    cluster = Cluster(state_keys=4)
    users = [f"user-{number}" for number in range(200)]
    for user in users + users:
        cluster.send(event(user))
    cluster.run(3)
    assert cluster.metric("headgate_processor_state_keys", place="disk") > 150
    cluster.restart()
    cluster.send(event(at=FAR))
    cluster.run()
    assert {key[0]: window["events"] for key, window in cluster.profiles().items()} == dict.fromkeys(users, 2)
    assert cluster.metric("headgate_processor_state_keys", place="disk") == 0


def test_a_definition_that_changes_begins_anew() -> None:
    cluster = Cluster()
    cluster.send(event())
    cluster.run()
    cluster.catalog = Cluster(definition(grace="2ms")).catalog
    cluster.restart()
    cluster.send(event(), event(at=FAR))
    cluster.run()
    assert [window["events"] for window in cluster.profiles().values()] == [1]


@pytest.mark.parametrize("native", [False, True])
@settings(max_examples=40)
@given(data=st.data())
def test_windows_are_those_of_a_batch_however_events_come_and_whatever_is_killed(
    native: bool,  # noqa: FBT001 - by name
    data: st.DataObject,
) -> None:
    late_by = 90_000
    cluster = Cluster(definition(windows=KINDS, aggregates=[]), native=native, out_of_orderness_s=late_by / 1000)
    clock = 0
    counted: dict[int, list[tuple[str, int]]] = {0: [], 1: []}
    for _ in range(data.draw(st.integers(1, 25))):
        clock += data.draw(st.sampled_from([0, 1, 59_999, 60_000, 200_000]))
        at = max(0, clock - data.draw(st.sampled_from([0, 1, 30_000, late_by])))
        user, partition = data.draw(st.sampled_from(["a", "b"])), data.draw(st.integers(0, 1))
        counted[partition].append((user, at))
        cluster.send(event(user, at), partition=partition)
        match data.draw(st.integers(0, 3)):
            case 0:
                cluster.restart()
            case 1:
                cluster.take(data.draw(st.integers(1, 3)))
            case 2:
                cluster.run(2)
    # A later partition's watermark may be ahead of an event that another partition is to get: each has its own.
    for partition in counted:
        cluster.send(event("end", 1_000 * FAR), partition=partition)
    cluster.run(12)
    wanted: dict[tuple[str, int, int, int, str], int] = {}
    for partition, events in counted.items():
        for name, found in (
            ("activity_1m", stepped(events, MINUTE_MS, MINUTE_MS)),
            ("activity_10m", stepped(events, 10 * MINUTE_MS, 5 * MINUTE_MS)),
            ("activity_visit", sessions(events, 3 * MINUTE_MS)),
        ):
            wanted |= {(user, start, end, partition, name): count for (user, start, end), count in found.items()}
    records = cluster.broker.records("account-profiles")
    told = [
        (
            each["account"],
            each["window_start"] - START_MS,
            each["window_end"] - START_MS,
            record.partition,
            each["window"],
        )
        for each, record in zip(cluster.read("account-profiles"), records, strict=True)
    ]
    assert len(told) == len(set(told))
    events_of = {at: each["events"] for at, each in zip(told, cluster.read("account-profiles"), strict=True)}
    assert events_of == wanted
