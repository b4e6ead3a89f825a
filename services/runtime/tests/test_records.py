"""Records that a client has and that are made when somebody looks."""

from __future__ import annotations

import pytest
from confluent_kafka import Message
from headgate_runtime.kafka.consumer import lazy_records
from headgate_runtime.records import Record, column_of

RECORDS = [
    Record("events", number % 2, number, 1_700_000_000_000 + number, b"k", b"%d" % number, (("h", b"v"),))
    for number in range(5)
]
MESSAGES = [
    Message(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=(1, record.timestamp_ms),
        key=record.key,
        value=record.value,
        headers=list(record.headers),
    )
    for record in RECORDS
]


def test_a_clients_messages_are_the_records_they_hold() -> None:
    lazy = lazy_records(MESSAGES)
    assert list(lazy) == RECORDS
    assert len(lazy) == 5
    assert lazy[-1] == RECORDS[-1]
    assert list(lazy[1:3]) == RECORDS[1:3]


@pytest.mark.parametrize("name", ["topic", "partition", "offset", "timestamp_ms", "value"])
def test_a_column_is_the_same_whether_records_are_made_or_not(name: str) -> None:
    wanted = [getattr(record, name) for record in RECORDS]
    assert column_of(lazy_records(MESSAGES), name) == wanted  # type: ignore[arg-type]  # a column's name
    assert column_of(lazy_records(MESSAGES)[2:], name) == wanted[2:]  # type: ignore[arg-type]
    assert column_of(RECORDS, name) == wanted  # type: ignore[arg-type]
