"""A processor's records of accounts, written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_agent_risk.windows import WINDOWS
from headgate_runtime.avro import Encoder
from headgate_runtime.kafka.partitioner import partition_of
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord

from tests.integration.enrichers import START_MS, TOPICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.integration.enrichers import World

WINDOW = WINDOWS["last_24h"]
FIGURE = "account_history.last_24h.payments"
DAY_MS = 86_400_000


def tell(world: World, payments: Mapping[str, int]) -> None:
    """Tell of accounts how often they paid on the day before the traffic begins."""
    contract = world.contracts.topic(f"{world.name}.{TOPICS['profiles_topic']}")
    encoder = Encoder(world.registry, contract.subject, world.contracts.record(contract.record))
    producer = KafkaProducer(world.kafka)
    for account, paid in payments.items():
        value = {
            "account": account,
            "window": WINDOW,
            "definition": "0" * 12,
            "window_kind": "hopping",
            "window_start": START_MS - DAY_MS,
            "window_end": START_MS,
            "events": paid + 1,
            "counts": {"payments": paid},
            "sums": {"amount.USD": (360_001).to_bytes(3)},
            "values": {},
            "capped": [],
            "closed_at": START_MS,
        }
        key, number = f"{WINDOW}/{account}".encode(), partition_of(account.encode(), contract.partitions)
        producer.send(OutgoingRecord(contract.topic, key, encoder.encode(value), partition=number))
    assert producer.flush(30) == 0
