"""OpenLineage events on a thread of their own: whoever tells of a run never waits for a receiver, and never fails."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import structlog

from headgate_runtime.errors import ConfigurationError, UnavailableError
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.records import OutgoingRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openlineage.client.event_v2 import RunEvent

    from headgate_runtime.config import KafkaSettings, LineageSettings
    from headgate_runtime.metrics import Metrics

    MakeEvents = Callable[[], Sequence[RunEvent]]

QUEUE_RUNS: Final = 1000
FLUSH_S: Final = 3.0
LOG_INTERVAL_S: Final = 60.0
_DELIVERY_S: Final = 10.0

_log = structlog.get_logger(__name__)


class LineageMetrics:
    """What became of the runs a service had to tell of.

    Attributes:
        runs: By outcome: ``told``; ``failed``, where the receiver was away or refused; ``dropped``, where the queue was full.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.runs = metrics.counter("lineage_runs", "Runs to tell of, by what became of it.", ("outcome",))


class LineageEmitter:
    """A bounded queue and the thread that empties it. What cannot be told is counted, and logged once in a while."""

    def __init__(
        self,
        send: Callable[[RunEvent], object],
        metrics: LineageMetrics,
        *,
        queue_runs: int = QUEUE_RUNS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread.

        Args:
            send: Brings an event to the receiver; raises what it likes.
            metrics: Metrics.
            queue_runs: Runs that wait for a slow receiver; one more is dropped.
            clock: Monotonic seconds.
        """
        self._send = send
        self._runs = metrics.runs
        self._queue_runs = queue_runs
        self._clock = clock
        self._waiting: deque[MakeEvents] = deque()
        self._changed = threading.Condition()
        self._closing = self._given_up = False
        self._lost = 0
        self._logged_s = float("-inf")
        self._thread = threading.Thread(target=self._run, name="lineage", daemon=True)
        self._thread.start()

    def emit(self, make: MakeEvents) -> None:
        """Queue the events of a run; they are made on the emitter's thread. Never waits; safe from any thread."""
        with self._changed:
            full = self._closing or len(self._waiting) >= self._queue_runs
            if not full:
                self._waiting.append(make)
                self._changed.notify()
        if full:
            self._lose("dropped", "the queue is full")

    def close(self, timeout_s: float = FLUSH_S) -> None:
        """Tell what is left, for moments only; what a receiver has not taken by then is lost."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._given_up = True  # the thread may outlive its service by a receiver's time-out, and has no more to say
            _log.warning("lineage is lost: the receiver has not taken the last runs", runs=len(self._waiting) + 1)

    def _run(self) -> None:
        while (make := self._next()) is not None:
            try:
                for event in make():
                    self._send(event)
            except Exception as error:  # noqa: BLE001 - each transport raises errors of its own, and none may end the thread
                self._lose("failed", repr(error))
            else:
                self._runs.labels("told").inc()

    def _next(self) -> MakeEvents | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return self._waiting.popleft() if self._waiting and not self._given_up else None

    def _lose(self, outcome: str, why: str) -> None:
        self._runs.labels(outcome).inc()
        with self._changed:
            self._lost += 1
            if self._given_up or self._clock() - self._logged_s < LOG_INTERVAL_S:
                return
            lost, self._lost, self._logged_s = self._lost, 0, self._clock()
        _log.warning("lineage is lost", runs=lost, error=why)


def open_emitter(settings: LineageSettings, kafka: KafkaSettings, metrics: Metrics) -> LineageEmitter:
    """Open the transport that the settings name, and the emitter before it.

    Raises:
        ConfigurationError: The settings describe no transport.
    """
    return LineageEmitter(_sender(dict(settings.transport), kafka), LineageMetrics(metrics))


def _sender(transport: dict[str, Any], kafka: KafkaSettings) -> Callable[[RunEvent], object]:
    from openlineage.client.transport import get_default_factory  # noqa: PLC0415 - a quarter of a second, for who uses it

    # What is said of each attempt that failed is said here once in a while.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    try:
        if transport["type"] == "kafka":
            return KafkaSender(kafka, transport["topic"])
        return get_default_factory().create(transport).emit
    except Exception as error:  # whatever a transport makes of its settings
        raise ConfigurationError(
            f"LINEAGE__TRANSPORT describes no OpenLineage transport: {error!r}. Write for example "
            '{"type": "http", "url": "http://HOST:PORT"}',
        ) from error


class KafkaSender:
    """Sends events as JSON, keyed by job, over the service's own brokers.

    The client's own Kafka transport wants brokers and credentials a second time, and hides failed deliveries.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._producer = KafkaProducer(settings)
        self._topic = topic

    def __call__(self, event: RunEvent) -> None:
        """Send an event and wait for the brokers' word.

        Raises:
            HeadgateError: They do not take it, or do not answer.
        """
        from openlineage.client.serde import Serde  # noqa: PLC0415 - imported already where it is used

        key = f"{event.job.namespace}/{event.job.name}"
        self._producer.send(OutgoingRecord(self._topic, key.encode(), Serde.to_json(event).encode()))
        if self._producer.flush(_DELIVERY_S):
            raise UnavailableError(f"the brokers have not acknowledged an event for {self._topic}")
