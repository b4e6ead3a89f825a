"""The plain producer over confluent-kafka."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from headgate_runtime.errors import BackpressureError, HeadgateError, UnavailableError
from headgate_runtime.kafka.client import ClientContext
from headgate_runtime.kafka.partitioner import PARTITIONER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.kafka.protocols import OnDelivery, OnOffset
    from headgate_runtime.records import OutgoingRecord

PREFERENCES: Final = {
    "enable.idempotence": "true",
    "acks": "all",
    "partitioner": PARTITIONER,
    "linger.ms": 5,
    # How long a topic may be unknown before its records fail; a new topic is known to all brokers well before.
    "topic.metadata.propagation.max.ms": 5_000,
    # The topic's own limit decides how large a record may be; the client must not refuse before it.
    "message.max.bytes": 16_777_216,
}

FIXED: Final = ("enable.idempotence", "acks", "partitioner")


class KafkaProducer:
    """A ``RecordProducer`` of real brokers: idempotent, acknowledged by all in-sync replicas."""

    def __init__(self, settings: KafkaSettings, *, properties: Mapping[str, str] | None = None) -> None:
        self._context = ClientContext(settings)
        self._producer = self._context.make(Producer, PREFERENCES, properties=properties, fixed=FIXED)
        self._failure: HeadgateError | None = None

    def send(
        self, record: OutgoingRecord, on_delivery: OnDelivery | None = None, on_offset: OnOffset | None = None
    ) -> None:
        """Queue a record; see ``RecordProducer``."""
        report = self._keep if on_delivery is None else on_delivery
        try:
            produce(self._producer, record, partial(self._delivered, report, on_offset))
        except BufferError as error:
            raise BackpressureError("the producer's queue is full: wait for deliveries, then send again") from error
        except KafkaException as error:
            raise self._context.translate(error, f"send to {record.topic}") from error

    def poll(self) -> None:
        """Run the delivery callbacks that are due."""
        self._producer.poll(0)
        self._raise_failure()

    def flush(self, timeout_s: float) -> int:
        """Wait until everything queued is delivered or has failed; return how many records are still queued."""
        left = self._producer.flush(timeout_s)
        self._raise_failure()
        return left

    def outstanding(self) -> int:
        """Return how many records wait for their acknowledgement."""
        return len(self._producer)

    def refusal(self) -> str | None:
        """Say why the brokers refuse this client; see ``RecordProducer``."""
        return self._context.refusal()

    def close(self, timeout_s: float = 10.0) -> None:
        """Flush.

        Raises:
            UnavailableError: Records are still queued when the time is up, and are given up.
        """
        if left := self.flush(timeout_s):
            raise UnavailableError(f"{left} records were never acknowledged: the brokers do not answer")

    def _delivered(
        self, report: OnDelivery, on_offset: OnOffset | None, error: KafkaError | None, message: Message
    ) -> None:
        offset = message.offset()
        if on_offset is not None and error is None and offset is not None and offset >= 0:
            on_offset(offset)
        report(None if error is None else self._context.translate(error, f"deliver to {message.topic()}"))

    def _keep(self, error: HeadgateError | None) -> None:
        self._failure = self._failure or error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure


def produce(producer: Producer, record: OutgoingRecord, callback: Any) -> None:
    """Hand a record to the client; raises what the client raises."""
    producer.produce(
        record.topic,
        record.value,
        record.key,
        -1 if record.partition is None else record.partition,
        callback,
        timestamp=record.timestamp_ms or 0,
        headers=list(record.headers),
    )
