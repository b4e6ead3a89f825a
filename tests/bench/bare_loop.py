"""What any exactly-once service in Python has to do: consume, decode, encode and produce each event in transactions."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

from tests.bench.backlog import SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMIT_EVERY_S = 1.0
BATCH = 4_000


def main(bootstrap_servers: str, registry_url: str, group: str, topic: str) -> None:
    """Copy the source topic until the process is ended."""
    kafka, contracts = KafkaSettings(bootstrap_servers=bootstrap_servers), Contracts.load()
    registry, contract = ConfluentRegistry(RegistrySettings(url=registry_url)), contracts.topic(SOURCE)
    decode = Decoder(registry, contracts.record(contract.record)).decode
    encode = Encoder(registry, contract.subject, contracts.record(contract.record)).encode
    producer = KafkaTransactionalProducer(kafka, transactional_id=group)
    consumer = KafkaConsumer(kafka, group_id=group)
    consumer.subscribe([SOURCE], on_assign=_from_the_first, on_revoke=_nothing, on_lost=_nothing)
    offsets: dict[TopicPartition, int] = {}
    due_s = time.monotonic() + COMMIT_EVERY_S
    while True:
        records = consumer.poll(BATCH, 0.1)
        if records and not offsets:
            producer.begin()
        for record in records:
            producer.send(OutgoingRecord(topic, record.key, encode(decode(record.value)), partition=record.partition))
            offsets[record.source] = record.offset + 1
        if offsets and time.monotonic() >= due_s:
            producer.commit(offsets, consumer.group_metadata())
            offsets, due_s = {}, time.monotonic() + COMMIT_EVERY_S


def _from_the_first(partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
    return dict.fromkeys(partitions, 0)


def _nothing(_: Sequence[TopicPartition]) -> None:
    pass


if __name__ == "__main__":
    main(*sys.argv[1:])
