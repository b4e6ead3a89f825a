"""What the enricher's loop costs at least: the same records in and the same records out in transactions, with no agent."""

from __future__ import annotations

import statistics
import time
from contextlib import closing
from typing import TYPE_CHECKING

from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.records import OutgoingRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.records import Record, TopicPartition

BEGIN, END = 0.15, 0.95
COMMIT_INTERVAL_S = 0.1
MAX_RECORDS, POLL_S = 1_000, 0.02
LONGEST_S = 120.0


def read_all(consumer: KafkaConsumer, topic: str, records: int) -> Iterator[list[Record]]:
    """Batches of a topic's records, as large as the enricher's loop takes them, until there were so many."""
    consumer.subscribe([topic], on_assign=lambda _: {}, on_revoke=lambda _: None, on_lost=lambda _: None)
    deadline, left = time.monotonic() + LONGEST_S, records
    while left > 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{left} of {records} records of {topic} are missing")
        batch = consumer.poll(MAX_RECORDS, POLL_S)
        left -= len(batch)
        if batch:
            yield batch


def outputs_of(kafka: KafkaSettings, topic: str, records: int, target: str) -> list[OutgoingRecord]:
    """What the enricher wrote, as records for another topic."""
    with closing(KafkaConsumer(kafka, group_id="bench-outputs")) as consumer:
        return [
            OutgoingRecord(target, record.key, record.value, record.headers)
            for batch in read_all(consumer, topic, records)
            for record in batch
        ]


def events_per_s(kafka: KafkaSettings, topic: str, outputs: Sequence[OutgoingRecord], *, rounds: int = 3) -> float:
    """Median of some rounds, each between 15 and 95 % of the records as the enricher is measured.

    Args:
        kafka: The broker.
        topic: The enricher's source, with as many records as there are outputs.
        outputs: What goes out, one for each record.
        rounds: How often it is done.
    """
    return statistics.median(_round(kafka, topic, outputs, f"bare-{number}") for number in range(rounds))


def _round(kafka: KafkaSettings, topic: str, outputs: Sequence[OutgoingRecord], name: str) -> float:
    committed: list[tuple[int, float]] = []
    with (
        closing(KafkaTransactionalProducer(kafka, transactional_id=name)) as producer,
        closing(KafkaConsumer(kafka, group_id=name)) as consumer,
    ):
        offsets: dict[TopicPartition, int] = {}
        done, due_s = 0, time.monotonic()
        for batch in read_all(consumer, topic, len(outputs)):
            if not offsets:
                producer.begin()
            for record, output in zip(batch, outputs[done : done + len(batch)], strict=True):
                producer.send(output)
                offsets[record.source] = record.offset + 1
            done += len(batch)
            if time.monotonic() >= due_s or done == len(outputs):
                due_s = time.monotonic() + COMMIT_INTERVAL_S
                producer.commit(offsets, consumer.group_metadata())
                offsets.clear()
                committed.append((done, time.monotonic()))
    first, last = (next(each for each in committed if each[0] >= len(outputs) * share) for share in (BEGIN, END))
    if first == last:
        raise ValueError("too few events to measure between two commits: take more")
    return (last[0] - first[0]) / (last[1] - first[1])
