"""Windows by other keys than the events' own: parts of partitions become one whole window each, once."""

from __future__ import annotations

import io
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from fastavro import schemaless_reader, schemaless_writer
from headgate_processor.aggregates import units as in_units
from headgate_processor.datum import decimal_bytes, double_bytes, long_bytes, map_bytes, text_bytes, texts_bytes
from headgate_processor.definition import Definition
from headgate_processor.drift import moved, remember, stability_index
from headgate_processor.merging import Progress, merged_watermark
from hypothesis import given
from hypothesis import strategies as st

from .cluster import MINUTE_MS, START_MS, Cluster, event, metric, units

SCORE = "agent_metadata.risk_score"
HOUR_MS = 60 * MINUTE_MS
FAR = 100 * MINUTE_MS


def score(value: float, at: int = 0) -> dict[str, object]:
    return event(at=at, agent_metadata__risk_score=value)


def test_parts_of_all_partitions_are_one_window() -> None:
    aggregates = [
        {"name": "score", "kind": "percentiles", "of": SCORE, "at": [50]},
        {"name": "cost", "kind": "sum", "of": "agent_metadata.cost_microdollars"},
        {"name": "rules", "kind": "share", "where": {"field": "agent_metadata.tier", "equals": "rules"}},
    ]
    cluster = Cluster(metric(aggregates=aggregates))
    for partition, scores in enumerate([(0.1, 0.2, 0.3), (0.8, 0.9)]):
        for each in scores:
            cluster.send(
                event(agent_metadata__risk_score=each, agent_metadata__cost_microdollars=7), partition=partition
            )
        cluster.send(event(at=FAR), partition=partition)
    cluster.run(12)
    window = cluster.metric_windows()["decisions_1m", "allow", 0, None]
    assert window["events"] == 5
    assert window["values"]["cost"] == 35
    assert window["values"]["rules"] == 1
    assert window["values"]["score_p50"] == pytest.approx(0.3, rel=0.01)
    assert window["sketches"]["score"]["kind"] == "ddsketch.v1"


def test_a_window_waits_for_the_partition_that_is_behind() -> None:
    cluster = Cluster(metric())
    cluster.send(event(), event(at=FAR), partition=0)
    cluster.send(event(), partition=1)
    cluster.run(12)
    assert cluster.metric_windows() == {}
    cluster.restart()
    cluster.send(event(at=FAR), partition=1)
    cluster.run(12)
    assert [window["events"] for window in cluster.metric_windows().values()] == [2]


def test_a_partition_on_which_nothing_comes_is_waited_for_no_longer_than_it_takes_to_be_idle() -> None:
    cluster = Cluster(metric(), idle_after_s=60)
    cluster.send(event(), event(at=FAR), partition=0)
    cluster.run(12)
    assert cluster.metric_windows() == {}
    cluster.tick(61)
    cluster.run(12)
    assert [window["events"] for window in cluster.metric_windows().values()] == [1]
    assert cluster.metric("headgate_processor_idle_partitions") >= 1


def test_the_last_windows_close_by_the_wall_clock_and_not_while_anything_is_left_to_be_read() -> None:
    cluster = Cluster(metric(), partitions=1, idle_after_s=60)
    cluster.send(event())
    cluster.run()
    cluster.send(event(at=1))
    for _ in range(3):
        cluster.tick(50)  # and nothing is polled
    assert cluster.metric("headgate_processor_idle_partitions") == 0
    cluster.run()
    for _ in range(4):
        cluster.tick(50)
        cluster.run(2)
    assert [window["events"] for window in cluster.metric_windows().values()] == [2]
    assert cluster.metric("headgate_processor_idle_advance_seconds_total") > 60


def test_a_part_that_comes_after_its_window_was_told_is_a_record_of_its_own() -> None:
    cluster = Cluster(metric(), idle_after_s=60)
    cluster.send(event(), event(at=FAR), partition=0)
    cluster.run(12)
    cluster.tick(61)
    cluster.run(12)
    cluster.send(event(at=5), event(at=FAR), partition=1)
    cluster.run(12)
    windows = cluster.metric_windows()
    assert {key[3]: window["events"] for key, window in windows.items()} == {None: 1, 1: 1}
    assert cluster.metric("headgate_processor_parts_unmerged_total", why="late") == 1


def test_parts_survive_kills_between_partition_and_merge() -> None:
    cluster = Cluster(metric())
    for partition in (0, 1):
        cluster.send(event(), event(at=MINUTE_MS), event(at=FAR), partition=partition)
    for _ in range(10):
        cluster.take(2)
        cluster.tick()
        cluster.restart()
    cluster.run(12)
    assert {key[2]: window["events"] for key, window in cluster.metric_windows().items()} == {0: 2, MINUTE_MS: 2}


def test_a_window_beyond_a_bound_is_told_of() -> None:
    alert = {"name": "expensive", "description": "Too dear.", "aggregate": "cost", "above": 10, "at_least": 2}
    cost = {"name": "cost", "kind": "sum", "of": "agent_metadata.cost_microdollars"}
    cluster = Cluster(metric(aggregates=[cost], alerts=[alert]), partitions=1)
    for at, dollars in ((0, 11), (MINUTE_MS, 6), (MINUTE_MS, 6), (2 * MINUTE_MS, 5), (2 * MINUTE_MS, 5)):
        cluster.send(event(at=at, agent_metadata__cost_microdollars=dollars))
    cluster.send(event(at=FAR))
    cluster.run(12)
    [told] = cluster.read("decision-alerts")
    assert (told["alert"], told["window_start"] - START_MS, told["value"], told["above"]) == (
        "expensive",
        MINUTE_MS,
        12,
        10,
    )


def test_drift_is_told_once_both_sides_have_enough_events() -> None:
    aggregates = [
        {"name": "score", "kind": "histogram", "of": SCORE, "bounds": [0.5]},
        {"name": "drift", "kind": "drift", "histogram": "score", "against": "24h", "at_least": 4},
    ]
    cluster = Cluster(metric(aggregates=aggregates), partitions=1)
    for minute, scores in enumerate([[0.1, 0.2, 0.6], [0.1, 0.2, 0.7, 0.2], [0.9, 0.9, 0.8, 0.9], [0.1] * 3]):
        cluster.send(*(score(each, minute * MINUTE_MS) for each in scores))
        cluster.run()
        cluster.restart()
    cluster.send(score(0.1, FAR))
    cluster.run(12)
    values = [window["values"] for _, window in sorted(cluster.metric_windows().items(), key=lambda each: each[0][2])]
    assert ["drift" in each for each in values] == [False, False, True, False]
    assert values[2]["drift"] == pytest.approx(stability_index([0, 4], [5, 2]))
    assert values[2]["drift"] > 0.25


def test_a_distribution_that_stays_has_an_index_near_zero_and_old_hours_are_let_go_of() -> None:
    assert stability_index([100, 200, 300], [1_000, 2_000, 3_000]) < 0.001
    drift = Definition.model_validate(
        metric(
            aggregates=[
                {"name": "score", "kind": "histogram", "of": SCORE, "bounds": [0.5]},
                {"name": "drift", "kind": "drift", "histogram": "score", "against": "2h", "at_least": 1},
            ]
        ).model_dump(mode="json")
    ).aggregates[1]
    history: list[list[object]] = []
    for hour in range(10):
        remember(drift, history, hour * HOUR_MS, [1, 1])
    assert [hour for hour, _ in history] == [6 * HOUR_MS, 7 * HOUR_MS, 8 * HOUR_MS, 9 * HOUR_MS]
    assert moved(drift, history, 30 * HOUR_MS, [5, 5]) is None


def test_what_is_waited_for_are_partitions_that_are_not_idle() -> None:
    assert merged_watermark([Progress(5), Progress(3)]) == 3
    assert merged_watermark([Progress(5), Progress(3, idle=True)]) == 5
    assert merged_watermark([Progress(5), Progress()]) is None
    assert merged_watermark([Progress(5, idle=True), Progress(None, idle=True)]) == 5
    assert merged_watermark([Progress(None, idle=True)]) is None


LONGS = st.integers(-(2**63), 2**63 - 1)
SCHEMA = {
    "type": "record",
    "name": "written",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "number", "type": "long"},
        {"name": "counts", "type": {"type": "map", "values": "long"}},
        {"name": "sums", "type": {"type": "map", "values": "bytes"}},
        {"name": "values", "type": {"type": "map", "values": "double"}},
        {"name": "capped", "type": {"type": "array", "items": "string"}},
    ],
}


@given(
    st.fixed_dictionaries(
        {
            "text": st.text(),
            "number": LONGS,
            "counts": st.dictionaries(st.text(), LONGS),
            "sums": st.dictionaries(st.text(), st.integers(-(10**40), 10**40)),
            "values": st.dictionaries(st.text(), st.floats(allow_nan=False)),
            "capped": st.lists(st.text()),
        }
    )
)
def test_what_is_written_by_hand_is_what_fastavro_writes(value: dict[str, Any]) -> None:
    written = b"".join(
        (
            text_bytes(value["text"]),
            long_bytes(value["number"]),
            map_bytes(value["counts"], long_bytes),
            map_bytes(value["sums"], decimal_bytes),
            map_bytes(value["values"], double_bytes),
            texts_bytes(value["capped"]),
        )
    )
    stream = io.BytesIO()
    digits = {name: schemaless_reader(io.BytesIO(decimal_bytes(each)), "bytes") for name, each in value["sums"].items()}
    schemaless_writer(stream, SCHEMA, {**value, "sums": digits})
    assert written == stream.getvalue()
    assert {name: units(each) for name, each in digits.items()} == value["sums"]


@given(st.integers(2, 6).flatmap(lambda places: st.decimals(-(10**14), 10**14, places=places)).map(float))
def test_money_is_counted_as_its_decimal_notation_says(amount: float) -> None:
    assert in_units(amount) == Decimal(str(amount)).scaleb(4).quantize(Decimal(1), ROUND_HALF_EVEN)


def test_the_largest_number_that_is_taken_is_counted_exactly() -> None:
    assert in_units(9.87e29) == 987 * 10**31
