"""The consumer over confluent-kafka."""

from __future__ import annotations

import logging
import math
import time
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from headgate_runtime.errors import FencedError, RejectedError, UnavailableError
from headgate_runtime.kafka.client import ClientContext
from headgate_runtime.records import Column, LazyRecords, Record, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.kafka.protocols import OnAssign, OnRemove

_log = logging.getLogger(__name__)

_CALL_TIMEOUT_S: Final = 15.0
_END_OF_PARTITION: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - librdkafka's own codes are spelled so
_WARN_EVERY_S: Final = 30.0
_OUTSIDE_CODES: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)  # noqa: SLF001 - as above
_OUTSIDE: Final = (
    ". The offset to go on from is outside the log: retention removed records before they were read, or the topic was "
    "created again. Bring them back; or stop the service, set the offsets of group {group} to where it may go on "
    "(kafka-consumer-groups --reset-offsets), which gives up what lies between, and start it again"
)

_PREFERENCES: Final = {
    "isolation.level": "read_committed",
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    # A start offset outside the log means data was lost or a topic was made anew: that must stop the service.
    "auto.offset.reset": "error",
    # Incremental: partitions that stay keep their work in flight, and an assignment may carry start offsets.
    "partition.assignment.strategy": "cooperative-sticky",
    # The end of a partition is the only sign that control records and aborted records at its tail were passed.
    "enable.partition.eof": "true",
    "fetch.wait.max.ms": 50,
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 2_000,
    "queued.max.messages.kbytes": 32_768,
}

_COLUMNS: Final[Mapping[Column, Callable[[Any], Any]]] = {
    "topic": methodcaller("topic"),
    "partition": methodcaller("partition"),
    "offset": methodcaller("offset"),
    "timestamp_ms": lambda message: message.timestamp()[1],
    "value": methodcaller("value"),
}

_FIXED: Final = (
    "isolation.level",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "partition.assignment.strategy",
    "enable.partition.eof",
)


class KafkaConsumer:
    """A ``RecordConsumer`` of real brokers.

    Members balance with the cooperative-sticky strategy. With an ``instance_id`` membership is static: an instance
    that is back within ten seconds keeps its partitions without a rebalance, and one that leaves for good holds
    them that long. The adapter resolves every start itself (worker's offset, else committed, else earliest), so
    that an offset outside the log is an error and never a silent jump.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        group_id: str,
        instance_id: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self._context = ClientContext(settings)
        membership = {"group.id": group_id} | ({"group.instance.id": instance_id} if instance_id else {})
        own = {**_PREFERENCES, **membership, "on_commit": self._committed}
        self._consumer = self._context.make(Consumer, own, properties=properties, fixed=(*_FIXED, *membership))
        self._starts: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._callbacks: dict[str, Callable[[Consumer, list[ClientPartition]], None]] = {}
        self._group_id = group_id
        self._warned: dict[int, float] = {}

    def subscribe(self, topics: Sequence[str], *, on_assign: OnAssign, on_revoke: OnRemove, on_lost: OnRemove) -> None:
        """Join the group; see ``RecordConsumer``."""

        def assigned(_: Consumer, partitions: list[ClientPartition]) -> None:
            new = [TopicPartition(partition.topic, partition.partition) for partition in partitions]
            self._assign(new, on_assign(new))

        def removed(callback: OnRemove) -> Callable[[Consumer, list[ClientPartition]], None]:
            def run(_: Consumer, partitions: list[ClientPartition]) -> None:
                gone = [TopicPartition(partition.topic, partition.partition) for partition in partitions]
                callback(gone)
                self._unassign(gone)

            return run

        self._callbacks = {"on_assign": assigned, "on_revoke": removed(on_revoke), "on_lost": removed(on_lost)}
        self.resubscribe(topics)

    def resubscribe(self, topics: Sequence[str]) -> None:
        """Read these topics instead; see ``RecordConsumer``."""
        self._call("subscribe", lambda: self._consumer.subscribe(list(topics), **self._callbacks))

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Return the next records; see ``RecordConsumer``."""
        messages = self._call("consume", lambda: self._consumer.consume(max_records, timeout_s))
        good = [message for message in messages if message.error() is None or self._event(message)]
        return lazy_records(good)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Stop returning records of the partitions."""
        self._call("pause", lambda: self._consumer.pause(_client(partitions)))

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Return records of the partitions again."""
        self._call("resume", lambda: self._consumer.resume(_client(partitions)))

    def assignment(self) -> list[TopicPartition]:
        """Return the partitions owned now."""
        return list(self._starts)

    def position(self, partition: TopicPartition) -> int | None:
        """Return the next offset to be consumed, past control records at the tail; None where not known yet."""
        if partition not in self._starts:
            return None
        read = self._call("read positions", lambda: self._consumer.position(_client([partition])))[0].offset
        known = max(read, self._ends.get(partition, -1), self._starts[partition])
        return known if known >= 0 else None

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read an owned partition from another offset on; see ``RecordConsumer``."""
        # Handing the partition back to the client and taking it again works in every fetch state; its seek does not.
        self._call("let go of a partition", lambda: self._consumer.incremental_unassign(_client([partition])))
        self._starts[partition] = offset
        self._ends.pop(partition, None)
        self._call("seek", lambda: self._consumer.incremental_assign([ClientPartition(*partition, offset)]))

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the group's committed offsets; a partition without one is absent."""
        if not partitions:
            return {}
        found = self._call(
            "read committed offsets", lambda: self._consumer.committed(_client(partitions), _CALL_TIMEOUT_S)
        )
        for partition in found:
            if partition.error is not None:
                raise self._context.translate(partition.error, "read committed offsets")
        return {TopicPartition(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    def begin_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask the broker for the first offset of each partition's log."""
        return {partition: self._watermarks(partition)[0] for partition in partitions}

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask the broker for the last stable offset of each partition."""
        return {partition: self._watermarks(partition)[1] for partition in partitions}

    def refusal(self) -> str | None:
        """Say why the brokers refuse this client; see ``RecordConsumer``."""
        return self._context.refusal()

    def lag(self) -> dict[TopicPartition, int]:
        """Return records behind per partition as of the last fetch; a partition never fetched is absent."""
        behind = {}
        for partition in self._starts:
            position = self.position(partition)
            watermarks = self._call(
                "read watermarks",
                partial(self._consumer.get_watermark_offsets, ClientPartition(*partition), cached=True),
            )
            if position is not None and watermarks is not None and watermarks[1] >= 0:
                behind[partition] = max(0, watermarks[1] - position)
        return behind

    def commit(self, offsets: Mapping[TopicPartition, int], *, wait: bool = True) -> None:
        """Commit the group's next offsets; see ``RecordConsumer``."""
        if not offsets:
            return
        if self._callbacks:  # else it is no member of any group, and may set where one begins
            self._require_member()
        wanted = [ClientPartition(*partition, offset) for partition, offset in offsets.items()]
        if not wait:  # the answer goes to _committed
            self._call("commit", lambda: self._consumer.commit(offsets=wanted, asynchronous=True))
            return
        for done in self._call("commit", lambda: self._consumer.commit(offsets=wanted, asynchronous=False)):
            if done.error is not None:
                raise self._context.translate(done.error, "commit")

    def group_metadata(self) -> object:
        """Return the member's proof of ownership.

        Raises:
            UnavailableError: The member is out of its group and rejoins; metadata without a member would not be
                checked by the broker, and a zombie could commit with it.
        """
        self._require_member()
        return self._consumer.consumer_group_metadata()

    def close(self) -> None:
        """Leave the group; ``on_revoke`` runs for what is still owned."""
        self._call("close", self._consumer.close)

    def _assign(self, partitions: Sequence[TopicPartition], wanted: Mapping[TopicPartition, int]) -> None:
        unnamed = [partition for partition in partitions if partition not in wanted]
        starts = dict.fromkeys(partitions, OFFSET_BEGINNING) | self.committed(unnamed)
        starts |= {partition: wanted[partition] for partition in partitions if partition in wanted}
        for partition in partitions:
            self._ends.pop(partition, None)
        self._starts.update(starts)
        self._consumer.incremental_assign([ClientPartition(*each, offset) for each, offset in starts.items()])

    def _unassign(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in partitions:
            self._starts.pop(partition, None)
            self._ends.pop(partition, None)
        self._consumer.incremental_unassign(_client(partitions))

    def _require_member(self) -> None:
        """Ask the client, which forgets the member's id when its session is over.

        Raises:
            UnavailableError: The member is out of its group and rejoins. A static one that commits meanwhile would be
                told that another has its place, its own new self, and the client could not be used again.
        """
        if not self._consumer.memberid():
            raise UnavailableError(f"not a member of group {self._group_id!r} now: poll until it has rejoined")

    def _watermarks(self, partition: TopicPartition) -> tuple[int, int]:
        ask = partial(self._consumer.get_watermark_offsets, ClientPartition(*partition), _CALL_TIMEOUT_S)
        low, high = self._call("read watermarks", ask)
        return low, high

    def _committed(self, error: KafkaError | None, partitions: Sequence[ClientPartition]) -> None:
        """Take the answer to a commit nobody waited for; the client calls it during a poll."""
        for fault in filter(None, (error, *(partition.error for partition in partitions))):
            meaning = self._context.translate(fault, "commit")
            if isinstance(meaning, FencedError):
                raise meaning
            _log.warning("group offsets not committed: %s", meaning)
            return

    def _event(self, message: Any) -> bool:
        """Take a message that is no record: note an end of partition, raise an error; a passing fault is retried."""
        error = message.error()
        if error.code() == _END_OF_PARTITION:
            self._ends[TopicPartition(message.topic(), message.partition())] = message.offset()
            return False
        fault = self._context.translate(error, "consume")
        if isinstance(fault, UnavailableError):
            self._warn(error.code(), fault)
            return False
        if not isinstance(fault, RejectedError):
            raise fault
        where = f" of {message.topic()}/{message.partition()}" if message.topic() else ""
        advice = _OUTSIDE.format(group=self._group_id) if error.code() in _OUTSIDE_CODES else ""
        raise RejectedError(f"{fault}{where}{advice}")

    def _warn(self, code: int, fault: UnavailableError) -> None:
        now_s = time.monotonic()
        if now_s - self._warned.get(code, -math.inf) >= _WARN_EVERY_S:
            self._warned[code] = now_s
            _log.warning("%s; it is tried again", fault)

    def _call(self, action: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except KafkaException as error:
            raise self._context.translate(error, action) from error


def lazy_records(messages: Sequence[Any]) -> LazyRecords:
    """Give messages without error as records."""
    return LazyRecords(messages, to_record, _COLUMNS)


def to_record(message: Any) -> Record:
    """Make a record of a message without error, whose parts the client's types call optional."""
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )


def _client(partitions: Collection[TopicPartition]) -> list[ClientPartition]:
    return [ClientPartition(*partition) for partition in partitions]
