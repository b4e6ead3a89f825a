"""Millions of events for little: each is encoded once, and its id is put into the bytes where the last one stood."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from headgate_runtime.avro import Encoder
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.records import OutgoingRecord, TopicPartition
from headgate_runtime.registry import ConfluentRegistry

if TYPE_CHECKING:
    from headgate_local.stack import Stack
    from headgate_runtime.errors import HeadgateError
    from headgate_schemas import Contracts

PREFIX, DIGITS = "event-", 12
FLUSH_TIMEOUT_S = 120.0
KEYS = 1_000
# Of the batches: every so many is a transaction, and of these every so many is aborted, this many records of it.
TRANSACTION_EVERY, ABORT_EVERY, ABORTED = 5, 3, 100


@dataclass(frozen=True, slots=True)
class Stamp:
    """An encoded event without its id."""

    before: bytes
    after: bytes

    @classmethod
    def around(cls, value: bytes, event_id: str) -> Self:
        """Take a value apart at its id, which has to be there once."""
        before, found, after = value.partition(event_id.encode())
        if not found or event_id.encode() in after:
            raise ValueError(f"{event_id} is not there once, so it cannot be replaced")
        return cls(before, after)

    def of(self, number: int) -> bytes:
        """The event with the id of a number."""
        return b"%b%b%b" % (self.before, id_of(number).encode(), self.after)


def id_of(number: int) -> str:
    """The id of an event; all are of one length."""
    return f"{PREFIX}{number:0{DIGITS}d}"


class StampedLoad:
    """Sends numbered events: plain batches to all partitions in turn, and now and then a transaction, by keys.

    Attributes:
        given: Numbers given out, from 0.
        aborted: Those whose transaction was aborted.
    """

    def __init__(self, stack: Stack, contracts: Contracts, topic: str) -> None:
        self.given = 0
        self.aborted: list[range] = []
        contract = contracts.topic(topic)
        if not contract.fields.event_id or "." in contract.fields.event_id:
            raise RuntimeError("the load sets a top-level event id; the contract has it elsewhere")
        registry = ConfluentRegistry(RegistrySettings(url=stack.registry_url))
        encoder = Encoder(registry, contract.subject, contracts.record(contract.record))
        self._stamps = []
        for path in sorted((contracts.directory / "examples" / contract.record).glob("*.json")):
            event = {**json.loads(path.read_text("utf-8")), contract.fields.event_id: id_of(0)}
            self._stamps.append(Stamp.around(encoder.encode(event), id_of(0)))
        kafka = KafkaSettings(bootstrap_servers=stack.bootstrap_servers)
        self._topic, self._partitions = topic, contract.partitions
        self._admin = KafkaAdmin(kafka)
        self._plain = KafkaProducer(kafka)
        self._transactional = KafkaTransactionalProducer(kafka, transactional_id="chaos-load")
        self._batches = self._transactions = 0
        self._failures: list[HeadgateError] = []

    @property
    def committed(self) -> int:
        """Events that are to be rows."""
        return self.given - sum(map(len, self.aborted))

    def send(self, events: int) -> None:
        """Send a batch of so many events, and what is aborted beside them."""
        self._batches += 1
        if self._batches % TRANSACTION_EVERY:
            self.send_plain(events)
            return
        self._transactions += 1
        if self._transactions % ABORT_EVERY == 0:
            self._transact(ABORTED, abort=True)
        self._transact(events, abort=False)

    def send_plain(self, events: int) -> None:
        """Send events outside of transactions, to all partitions in turn."""
        for number in self._numbers(events):
            partition = number % self._partitions
            record = OutgoingRecord(self._topic, None, self._value(number), partition=partition)
            self._plain.send(record, self._delivered)
        self._plain.poll()

    def finish(self) -> dict[int, int]:
        """End every partition with a plain event, wait until the brokers have all; returns the ends by partition.

        Raises:
            RuntimeError: The brokers do not take it.
        """
        self._flush()
        self.send_plain(self._partitions)
        self._flush()
        partitions = [TopicPartition(self._topic, number) for number in range(self._partitions)]
        return {each.partition: end for each, end in self._admin.high_watermarks(partitions).items()}

    def close(self) -> None:
        """Close the producers."""
        self._plain.close()
        self._transactional.close()

    def _transact(self, events: int, *, abort: bool) -> None:
        numbers = self._numbers(events)
        if not numbers:
            return
        self._transactional.begin()
        for number in numbers:
            self._transactional.send(OutgoingRecord(self._topic, b"key-%d" % (number % KEYS), self._value(number)))
        if abort:
            self._transactional.abort()
            self.aborted.append(numbers)
        else:
            self._transactional.commit({}, None)

    def _numbers(self, events: int) -> range:
        numbers = range(self.given, self.given + events)
        self.given += events
        return numbers

    def _value(self, number: int) -> bytes:
        return self._stamps[number % len(self._stamps)].of(number)

    def _flush(self) -> None:
        if self._plain.flush(FLUSH_TIMEOUT_S) or self._failures:
            raise RuntimeError(f"the load could not be sent: {self._failures[:1] or 'the brokers do not answer'}")

    def _delivered(self, error: HeadgateError | None) -> None:
        if error is not None:
            self._failures.append(error)
