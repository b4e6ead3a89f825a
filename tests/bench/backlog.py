"""A backlog of decided events, made quickly: a few hundred different ones, each with an account and a time of its own."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from headgate_runtime.avro import Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.errors import BackpressureError
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

from tests.load.decided import BEHIND_MS, DAY, OUT_OF_ORDER, events

if TYPE_CHECKING:
    from headgate_local.endpoints import Endpoints

SOURCE = "enriched-events"
DIFFERENT = 500
TIMEOUT_S = 120.0


class Backlog:
    """Sends events to the source topic; each batch of them begins where the last one ended in event time."""

    def __init__(self, endpoints: Endpoints) -> None:
        contracts = Contracts.load()
        contract = contracts.topic(SOURCE)
        registry = ConfluentRegistry(RegistrySettings(url=endpoints.registry_url))
        self._encoder = Encoder(registry, contract.subject, contracts.record(contract.record))
        self._producer = KafkaProducer(KafkaSettings(bootstrap_servers=endpoints.bootstrap_servers))
        self._at = int(time.time() * 1000) // DAY * DAY - DAY
        self._rng = random.Random(7)  # noqa: S311 - the same events each time

    def send(self, count: int, *, accounts: int, span_ms: int, each: bool = False) -> None:
        """Send events spread over a span of event time, of accounts at random, or of ``each`` in turn."""
        pool: list[dict[str, Any]] = list(events(DIFFERENT, accounts=1, start_ms=0, span_ms=0))
        for number in range(count):
            event, account = pool[number % DIFFERENT], number if each else self._rng.randrange(accounts)
            at = self._at + number * span_ms // count
            if self._rng.random() < OUT_OF_ORDER:
                at -= self._rng.randint(1, BEHIND_MS)
            event["event_timestamp"] = at
            event["payload"]["attributes"]["user_id"] = f"account-{account:06d}"
            self._send(OutgoingRecord(SOURCE, f"account-{account:06d}".encode(), self._encoder.encode(event)))
        self._at += span_ms
        if self._producer.flush(TIMEOUT_S):
            raise TimeoutError("events were not acknowledged")

    def _send(self, record: OutgoingRecord) -> None:
        while True:
            try:
                return self._producer.send(record)
            except BackpressureError:
                self._producer.flush(1.0)
