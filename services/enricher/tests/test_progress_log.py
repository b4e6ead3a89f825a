"""The progress log: round trip, whose word counts, and what a new owner starts from."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

import pytest
from headgate_enricher.progress import Mark
from headgate_enricher.progress_log import ProgressLog
from headgate_enricher.topics import Topics, check_topics
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.kafka.admin import TopicInfo
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.testing import MemoryBroker, MemoryRegistry
from headgate_schemas import Contracts

if TYPE_CHECKING:
    from collections.abc import Collection

    from headgate_runtime.kafka.protocols import RecordConsumer

CONTRACTS = Contracts.load()
CONTRACT = CONTRACTS.topic("enricher-progress")
RECORD = CONTRACTS.record(CONTRACT.record)
SOURCE = TopicPartition("raw-events", 2)


class Committed:
    def __init__(self, offsets: dict[TopicPartition, int]) -> None:
        self._offsets = offsets

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: offset for partition, offset in self._offsets.items() if partition in partitions}


def member(offset: int | None) -> RecordConsumer:
    return cast("RecordConsumer", Committed({} if offset is None else {SOURCE: offset}))


def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic(CONTRACT.topic, 4)
    return broker


def progress_log(broker: MemoryBroker, group: str = "enricher") -> ProgressLog:
    registry = MemoryRegistry()
    registry.register(CONTRACT.subject, RECORD.text)
    return ProgressLog(
        topic=CONTRACT.topic,
        group=group,
        encoder=Encoder(registry, CONTRACT.subject, RECORD),
        decoder=Decoder(registry, RECORD),
        read=broker.read_compacted,
    )


def test_a_new_owner_starts_where_the_last_commit_left_it() -> None:
    broker_ = broker()
    log = progress_log(broker_)
    broker_.append(log.record(SOURCE, Mark(10, b"")))
    broker_.append(log.record(SOURCE, Mark(12, b"done")))
    assert log.load([SOURCE], member(12)) == {SOURCE: Mark(12, b"done")}


def test_the_progress_is_on_the_partition_of_the_same_number() -> None:
    assert progress_log(broker()).record(SOURCE, Mark(1, b"")).partition == SOURCE.partition


def test_groups_do_not_read_each_others_progress() -> None:
    broker_ = broker()
    broker_.append(progress_log(broker_, "other").record(SOURCE, Mark(10, b"")))
    assert progress_log(broker_).load([SOURCE], member(None)) == {}


def test_progress_outlives_the_expiry_of_the_groups_offsets() -> None:
    broker_ = broker()
    log = progress_log(broker_)
    broker_.append(log.record(SOURCE, Mark(12, b"done")))
    assert log.load([SOURCE], member(None)) == {SOURCE: Mark(12, b"done")}


@pytest.mark.parametrize("moved_to", [3, 40])
def test_an_offset_that_an_operator_moved_counts_and_drops_the_done_set(moved_to: int) -> None:
    broker_ = broker()
    log = progress_log(broker_)
    broker_.append(log.record(SOURCE, Mark(12, b"done")))
    assert log.load([SOURCE], member(moved_to)) == {SOURCE: Mark(moved_to, b"")}


def test_an_unreadable_progress_record_stops_the_start() -> None:
    broker_ = broker()
    log = progress_log(broker_)
    broker_.append(
        OutgoingRecord(CONTRACT.topic, b"enricher/raw-events/2", b"\x00\x00\x00\x00\x63", partition=SOURCE.partition)
    )
    with pytest.raises(ConfigurationError, match=f"{CONTRACT.topic}/2/0 cannot be read"):
        log.load([SOURCE], member(12))


TOPICS = Topics(
    source=CONTRACTS.topic("raw-events"),
    output=CONTRACTS.topic("enriched-events"),
    reviews=CONTRACTS.topic("decision-reviews"),
    progress=CONTRACT,
    memory=CONTRACTS.topic("enricher-memory"),
    results=CONTRACTS.topic("model-results"),
    dead_letters=CONTRACTS.topic("raw-events.dlq"),
)


def existing(**partitions: int) -> dict[str, TopicInfo]:
    """Every topic with four partitions, but for those named (underscores for hyphens)."""
    named = {name.replace("_", "-"): count for name, count in partitions.items()}
    return {topic: TopicInfo("id", named.get(topic, 4), 1, {}) for topic in CONTRACTS.topics}


@pytest.mark.parametrize("topic", ["enricher-progress", "enricher-memory", "model-results"])
def test_a_topic_beside_the_source_with_too_few_partitions_stops_the_start(topic: str) -> None:
    check_topics(TOPICS, existing())
    with pytest.raises(ConfigurationError, match=f"add partitions to {topic}"):
        check_topics(TOPICS, existing(**{topic.replace("-", "_"): 3}))


def test_a_reviews_topic_that_cannot_take_every_decided_event_stops_the_start() -> None:
    small = TOPICS.reviews.model_copy(update={"max_message_bytes": TOPICS.output.max_message_bytes})
    with pytest.raises(ConfigurationError, match="would not fit in decision-reviews: write max_message_bytes: 1318912"):
        check_topics(dataclasses.replace(TOPICS, reviews=small), existing())


def test_a_missing_topic_stops_the_start() -> None:
    there = existing()
    del there["raw-events.dlq"]
    with pytest.raises(ConfigurationError, match=r"No topic raw-events\.dlq: run `headgate topics apply`"):
        check_topics(TOPICS, there)
