"""A model's answer is paid for once: each is in Kafka before it is used, and is found again after a crash.

Answers are keyed by the event's position, the agent's version and the number of the call. The prompt is not part of the
key, and an answer is used again whatever the prompt is now: what the agent remembers of a key may have been rolled back
with the transaction that was lost, which would change the prompt and nothing about the event. What does change the
meaning of an answer (prompts, tools, model, rules) is the agent's version.

An answer is written outside of transactions, so that it outlives the one that its decision would have been in.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from headgate_runtime.errors import HeadgateError, UnavailableError, UndecodableError
from headgate_runtime.records import OutgoingRecord, Record, TopicPartition
from headgate_schemas.agent import Usage

from headgate_enricher.gateway.protocols import RecordedAnswer
from headgate_enricher.profiles.kept import read, written

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from headgate_runtime.kafka.protocols import RecordProducer

    from headgate_enricher.enrichment import ValueEncoder
    from headgate_enricher.gateway.protocols import CallContext
    from headgate_enricher.intake import ValueDecoder
    from headgate_enricher.progress import PartitionProgress

    ReadRange = Callable[[Mapping[TopicPartition, int], Callable[[Record], None]], Mapping[TopicPartition, int]]

# How many of a partition's last answers are read where no commit says from where on they may still be of use.
UNKNOWN_START_RECORDS = 20_000
FLUSH_S = 0.1
SETTLE_S = 2.0
LOG_INTERVAL_S = 10.0

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Answers:
    """What is known of the answers to one assigned partition's events.

    Attributes:
        progress: Says which events are done.
        end: Where in the results topic the next answer is, at the earliest.
        places: Offset of each event's first answer in the results topic, by the event's offset.
        restored: Answers read back at assignment, by the event's offset, then by the version of the agent that asked
            and the number of the call.
    """

    progress: PartitionProgress
    end: int = 0
    places: dict[int, int] = field(default_factory=dict)
    restored: dict[int, dict[tuple[str, int], RecordedAnswer]] = field(default_factory=dict)

    def place(self, offset: int, at: int | None) -> None:
        """Note where an event's answer is; None stands for somewhere at or behind the end."""
        self.places.setdefault(offset, self.end if at is None else at)
        self.end = max(self.end, -1 if at is None else at + 1)

    def forget_done(self) -> int:
        """Forget the answers to events that are done; returns where the first that is left may be."""
        for offset in [offset for offset in self.places if not self.progress.is_open(offset)]:
            del self.places[offset]
            self.restored.pop(offset, None)
        return min(self.places.values(), default=self.end)


class ModelResults:
    """The answers of models in a topic; implements :class:`headgate_enricher.gateway.protocols.Recordings`.

    An answer is on the partition of its event's number. In memory there are only the answers read back at assignment
    for events that are not done, until a commit has them done. Each commit says from where on answers may still be of
    use (``answers_from``), so that what is read back is what the last owner had under way, however long the topic is.

    ``find`` and ``store`` are for the model thread, everything else is for the loop's thread.

    Args:
        topic: The results topic.
        agent_versions: Versions of the agents that ask.
        encoder: Encodes ``model_result`` records.
        decoder: Decodes them.
        producer: Idempotent and not transactional; its deliveries are waited for on a thread of this object's own.
        read: Hands over a stretch of the topic up to the end as it was at the call, and returns the ends.
        clock: Monotonic seconds; the same clock as the deadline of a call.
        now_ms: Milliseconds since the epoch.
    """

    def __init__(
        self,
        *,
        topic: str,
        agent_versions: Collection[str],
        encoder: ValueEncoder,
        decoder: ValueDecoder,
        producer: RecordProducer,
        read: ReadRange,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._topic = topic
        self._agent_versions = frozenset(agent_versions)
        self._encoder = encoder
        self._decoder = decoder
        self._producer = producer
        self._read = read
        self._clock = clock
        self._now_ms = now_ms
        self._answers: dict[TopicPartition, _Answers] = {}
        self._lock = threading.Lock()
        self._logged_s = float("-inf")
        self._under_way: set[Future[None]] = set()
        self._queued = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._deliver, name="results", daemon=True)
        self._thread.start()

    def restore(self, partitions: Mapping[TopicPartition, tuple[PartitionProgress, int | None]]) -> None:
        """Read back the answers to events that are not done.

        Args:
            partitions: Each newly assigned partition's progress, and where its last commit said to read from.

        Raises:
            UnavailableError: The broker or the registry does not answer.
        """
        numbers = {source.partition: _Answers(progress) for source, (progress, _) in partitions.items()}
        sources = {source.partition: source for source in partitions}
        starts = {
            TopicPartition(self._topic, source.partition): -UNKNOWN_START_RECORDS if start is None else start
            for source, (_, start) in partitions.items()
        }
        read = self._read(starts, lambda record: self._restore(record, sources, numbers))
        for place, end in read.items():
            numbers[place.partition].end = end
        with self._lock:
            self._answers.update({source: numbers[number] for number, source in sources.items()})
        found = sum(len(answers.restored) for answers in numbers.values())
        logger.info("answers read back", partitions=sorted(numbers), events=found)

    def find(self, context: CallContext, number: int) -> RecordedAnswer | None:
        """The answer this position got for its n-th call, counted from 0; never waits."""
        with self._lock:
            answers = self._answers.get(context.source)
            return answers.restored.get(context.offset, {}).get((context.agent_version, number)) if answers else None

    async def store(self, context: CallContext, number: int, answer: RecordedAnswer) -> None:
        """Keep an answer; returns once the broker has acknowledged it.

        Waits for no longer than half of the time that is left: an answer that is there must not be lost to the deadline.

        Raises:
            UnavailableError: It could not be kept; the answer is good all the same.
        """
        wait_s = max(0.0, (context.deadline_s - self._clock()) / 2)
        try:
            delivered = self._send(context, self._record(context, number, answer))
            async with asyncio.timeout(wait_s):
                await asyncio.wrap_future(delivered)
        except (HeadgateError, TimeoutError) as error:
            raise self._not_kept(error) from error

    def answers_from(self, source: TopicPartition) -> int:
        """Forget what is done by now; returns where the answers to an assigned partition's other events begin.

        To be called for the commit that makes it done: an answer not acknowledged yet comes behind all that are, so
        that whatever is acknowledged and still of use is at this offset or behind it.

        Raises:
            RuntimeError: The thread that waits for acknowledgements has died.
        """
        if not self._thread.is_alive():
            raise RuntimeError("the results thread has failed; its traceback is on standard error")
        with self._lock:
            return self._answers[source].forget_done()

    def release(self, partitions: Collection[TopicPartition]) -> None:
        """Keep no more answers to these partitions' events; waits until their next owner can read what was sent."""
        with self._lock:
            for source in partitions:
                self._answers.pop(source, None)
            under_way = list(self._under_way)
        wait(under_way, SETTLE_S)

    def close(self) -> None:
        """Let out what was sent and close the producer."""
        self._closed.set()
        self._queued.set()
        self._thread.join(SETTLE_S)
        self._producer.close()

    def _restore(self, record: Record, sources: Mapping[int, TopicPartition], numbers: Mapping[int, _Answers]) -> None:
        try:
            value = self._decoder.decode(record.value)
        except UndecodableError as error:
            # The worst that follows is one call made again; no reason to stand still.
            logger.warning(
                "an answer cannot be read", partition=record.partition, offset=record.offset, error=str(error)
            )
            return
        source = TopicPartition(value["topic"], value["partition"])
        answers = numbers[record.partition]
        mine = source == sources[record.partition] and value["agent_version"] in self._agent_versions
        if mine and answers.progress.is_open(value["offset"]):
            answers.place(value["offset"], record.offset)
            # The first one counts: it is the one a decision that was lost had been made from.
            call = value["agent_version"], value["number"]
            answers.restored.setdefault(value["offset"], {}).setdefault(call, answer_of(value))

    def _record(self, context: CallContext, number: int, answer: RecordedAnswer) -> OutgoingRecord:
        source = context.source
        value = {
            "topic": source.topic,
            "partition": source.partition,
            "offset": context.offset,
            "agent_version": context.agent_version,
            "number": number,
            "model_id": answer.model_id,
            "answer": answer.message.decode(),
            "input_tokens": answer.usage.input_tokens,
            "output_tokens": answer.usage.output_tokens,
            "cost_microdollars": answer.cost_microdollars,
            "answered_at": self._now_ms(),
            "reused": answer.reused,
            "profile": written(context.profile),
        }
        return OutgoingRecord(
            self._topic, answer_key(context, number), self._encoder.encode(value), partition=source.partition
        )

    def _send(self, context: CallContext, record: OutgoingRecord) -> Future[None]:
        delivered: Future[None] = Future()
        # From here on the waiting task cannot cancel it: an answer that is sent is sent.
        delivered.set_running_or_notify_cancel()
        placed: list[int] = []
        with self._lock:
            if context.source not in self._answers:
                raise UnavailableError("the partition belongs to another instance now")
            self._producer.send(record, partial(self._delivered, context, placed, delivered), placed.append)
            self._under_way.add(delivered)
        self._queued.set()
        return delivered

    def _not_kept(self, error: HeadgateError | TimeoutError) -> UnavailableError:
        why = str(error) or "the broker has not acknowledged it in time"
        if self._clock() - self._logged_s >= LOG_INTERVAL_S:
            # An outage fails hundreds a second: the gateway counts them, the log shows one in a while.
            self._logged_s = self._clock()
            logger.warning("a model's answer is not kept", topic=self._topic, error=why)
        return UnavailableError(f"{self._topic}: the answer is not kept: {why}")

    def _delivered(
        self, context: CallContext, placed: list[int], delivered: Future[None], error: HeadgateError | None
    ) -> None:
        with self._lock:
            self._under_way.discard(delivered)
            answers = self._answers.get(context.source)
            if error is None and answers is not None:
                answers.place(context.offset, placed[0] if placed else None)
        if error is None:
            delivered.set_result(None)
        else:
            delivered.set_exception(error)

    def _deliver(self) -> None:
        """Run the delivery callbacks while anything is on its way; a flush also spares the wait for fuller batches."""
        while not self._closed.is_set():
            self._queued.wait()
            self._queued.clear()
            while self._producer.flush(FLUSH_S) and not self._closed.is_set():
                self._queued.clear()


def answer_key(context: CallContext, number: int) -> bytes:
    """Key of the record that an answer is kept in."""
    source = context.source
    return f"{source.topic}/{source.partition}/{context.offset}/{context.agent_version}/{number}".encode()


def answer_of(value: Mapping[str, Any]) -> RecordedAnswer:
    """The answer that a ``model_result`` holds."""
    reused = value["reused"]
    usage = Usage(0 if reused else 1, value["input_tokens"], value["output_tokens"])
    return RecordedAnswer(
        value["model_id"], value["answer"].encode(), usage, value["cost_microdollars"], reused, read(value["profile"])
    )
