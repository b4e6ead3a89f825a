"""The worker beside faults: what cannot be counted, brokers that are away, partitions that move."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from .cluster import Cluster, definition, event, metric

if TYPE_CHECKING:
    from typing import Any

FAR = 6_000_000


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda _: None, "tombstone"),
        (lambda good: b"\x01" + good[1:], "bad_magic"),
        (lambda good: struct.pack(">bI", 0, 9_999) + good[5:], "unknown_schema_id"),
        (lambda good: good[:40], "undecodable"),
        (lambda good: good + b"\x00", "trailing_bytes"),
    ],
)
def test_a_record_that_cannot_be_counted_is_a_dead_letter_and_the_partition_goes_on(
    native: bool,  # noqa: FBT001 - by name
    change: Any,
    cause: str,
) -> None:
    cluster = Cluster(native=native)
    cluster.send(event())
    cluster.append(change(cluster.encoder.encode(event())))
    cluster.send(event(at=1), event(at=FAR))
    cluster.run()
    [letter] = cluster.read("account-profiles.dlq")
    assert (letter["cause"], letter["service"], letter["source_offset"]) == (cause, "processor", 1)
    assert [window["events"] for window in cluster.profiles().values()] == [2]


@pytest.mark.parametrize("native", [False, True])
def test_what_breaks_the_contract_or_is_no_finite_number_is_not_counted(native: bool) -> None:  # noqa: FBT001 - by name
    cluster = Cluster(native=native)
    cluster.send(event(agent_metadata__tier="nobody"), event(payload__attributes__amount=float("nan")))
    cluster.send(event(), event(at=FAR))
    cluster.run()
    letters = cluster.read("account-profiles.dlq")
    assert [(letter["cause"], letter["rule"]) for letter in letters] == [
        ("contract_violation", "tier_known"),
        ("unrepresentable", None),
    ]
    assert [window["events"] for window in cluster.profiles().values()] == [1]


def test_what_cannot_be_committed_now_is_kept_and_committed_once_later() -> None:
    cluster = Cluster(definition(), metric())
    cluster.send(event(), event(at=FAR))
    cluster.run(2)
    cluster.send(event(at=FAR + 1), event(at=2 * FAR))
    cluster.consumer.faults = 3
    for _ in range(12):
        cluster.take()
        cluster.tick(10)
    assert sorted(window["events"] for window in cluster.profiles().values()) == [1, 2]
    assert cluster.metric("headgate_transactions_aborted_total") == 3


def test_a_partition_that_moves_takes_its_open_windows_along() -> None:
    cluster = Cluster()
    cluster.send(event(), partition=0)
    cluster.send(event(), partition=1)
    cluster.run()
    first, kept = cluster.worker, cluster.consumer
    cluster.start()
    kept.close()
    first.close()
    cluster.send(event(at=1), event(at=FAR), partition=1)
    cluster.run(12)
    assert [window["events"] for window in cluster.profiles().values()] == [2]


def test_a_definition_counts_only_the_events_it_asks_for() -> None:
    cluster = Cluster(definition(where={"field": "event_type", "equals": "login"}))
    cluster.send(event(event_type="login"), event(event_type="page_view"), event(at=FAR, event_type="login"))
    cluster.run()
    assert [window["events"] for window in cluster.profiles().values()] == [1]
