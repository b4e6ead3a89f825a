"""What the budget ledger has settled, from a real broker."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from headgate_admin.config import AdminSettings
from headgate_admin.cost.spent import Settled, settled_since
from headgate_runtime.avro import Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_local.fixtures import Brokers

CONTRACTS = Contracts.load()
RECORD = CONTRACTS.record(CONTRACTS.topic("budget-ledger").record)


def test_settlements_count_from_the_asked_time_on(stack: Brokers, topic_name: Callable[[str], str]) -> None:
    topic = topic_name("ledger")
    settings = AdminSettings(
        kafka=KafkaSettings(bootstrap_servers=stack.bootstrap_servers),
        registry=RegistrySettings(url=stack.registry_url),
        budget_topic=topic,
    )
    KafkaAdmin(settings.kafka).create(topic, partitions=1, config={"message.timestamp.type": "CreateTime"})
    registry = ConfluentRegistry(settings.registry)
    registry.register(f"{topic}-value", RECORD.text)
    encoder = Encoder(registry, f"{topic}-value", RECORD)
    producer = KafkaProducer(settings.kafka)
    examples = CONTRACTS.examples(RECORD.name)
    for at_ms, kind, cost in (
        (1_000, "settle", 7),
        (2_000, "reserve", 9_000),
        (2_000, "settle", 20),
        (3_000, "settle", 1),
    ):
        value = copy.deepcopy(examples[kind]) | {"cost_microdollars": cost, "tokens": 10 * cost}
        producer.send(OutgoingRecord(topic, None, encoder.encode(value), timestamp_ms=at_ms))
    producer.flush(30.0)
    assert settled_since(settings, RECORD, 1_500) == Settled(calls=2, tokens=210, cost_microdollars=21)
    assert settled_since(settings, RECORD, 4_000) == Settled()
    producer.close()
