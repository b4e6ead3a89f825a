"""What the consumer makes of messages that are no records, and of answers to commits; no broker is needed."""

from __future__ import annotations

import logging

import pytest
from confluent_kafka import KafkaError
from headgate_runtime.config import KafkaSettings
from headgate_runtime.errors import FencedError, RejectedError
from headgate_runtime.kafka.consumer import KafkaConsumer


class Message:
    def __init__(self, code: int) -> None:
        self._error = KafkaError(code, "why")

    def error(self) -> KafkaError:
        return self._error

    def topic(self) -> str:
        return "events"

    def partition(self) -> int:
        return 3


@pytest.fixture
def consumer() -> KafkaConsumer:
    return KafkaConsumer(KafkaSettings(bootstrap_servers="127.0.0.1:1"), group_id="readers")


def test_a_passing_fault_is_told_once_in_a_while(consumer: KafkaConsumer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "headgate_runtime.kafka.consumer"):
        for _ in range(100):
            assert not consumer._event(Message(KafkaError._TRANSPORT))
        assert not consumer._event(Message(KafkaError._TIMED_OUT))
    told = [record.getMessage() for record in caplog.records if record.name == "headgate_runtime.kafka.consumer"]
    assert told == [
        "cannot consume: why (_TRANSPORT); it is tried again",
        "cannot consume: why (_TIMED_OUT); it is tried again",
    ]


@pytest.mark.parametrize("code", [KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE])
def test_an_offset_outside_the_log_says_what_to_do(consumer: KafkaConsumer, code: int) -> None:
    with pytest.raises(RejectedError, match=r"events/3.*set the offsets of group readers .*--reset-offsets"):
        consumer._event(Message(code))


def test_the_answer_to_a_commit_nobody_waits_for_is_logged_and_fencing_is_raised(
    consumer: KafkaConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "headgate_runtime.kafka.consumer"):
        consumer._committed(None, [])
        consumer._committed(KafkaError(KafkaError.REBALANCE_IN_PROGRESS, "later"), [])
    assert "group offsets not committed: cannot commit: later" in caplog.text
    with pytest.raises(FencedError):
        consumer._committed(KafkaError(KafkaError.FENCED_INSTANCE_ID, "another"), [])
