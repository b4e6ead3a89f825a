"""Records in runs, made and not made yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Message
from headgate_runtime.kafka.consumer import lazy_records
from headgate_runtime.records import LazyRecords, Record, TopicPartition
from headgate_writer.runs import records_of, runs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

PLACES = [(0, 3), (0, 5), (1, 0), (0, 6), (0, 7)]
LAZY = lazy_records([Message(topic="events", partition=part, offset=at, timestamp=(1, 0)) for part, at in PLACES])
both = pytest.mark.parametrize("records", [LAZY, list(LAZY)], ids=["lazy", "made"])


@both
def test_a_run_ends_where_the_partition_changes(records: Sequence[Record]) -> None:
    runs = runs_of(records)
    assert [(run.source, list(run.offsets)) for run in runs] == [
        (TopicPartition("events", 0), [3, 5]),
        (TopicPartition("events", 1), [0]),
        (TopicPartition("events", 0), [6, 7]),
    ]
    assert [run.end for run in runs] == [6, 1, 8]
    assert list(records_of(runs)) == list(records)


@both
def test_what_was_taken_before_is_left_out_and_each_offset_taken_once(records: Sequence[Record]) -> None:
    run = runs_of(records)[0]
    assert [record.offset for record in run.since(3)] == [3, 5]
    assert [record.offset for record in run.since(4)] == [5]
    twice = runs_of([*run.records, *run.records])[0]
    assert [record.offset for record in twice.since(0)] == [3, 5]


def test_joining_runs_makes_no_record() -> None:
    assert isinstance(records_of(runs_of(LAZY)), LazyRecords)
