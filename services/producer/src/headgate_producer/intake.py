"""Between HTTP and Kafka: hands records to the producer, and lets a request wait until all of its own are acknowledged.

Requests live on the HTTP thread's event loop, delivery reports on the main thread, which polls the producer.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING

from headgate_runtime.errors import BackpressureError, HeadgateError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headgate_runtime.kafka.protocols import RecordProducer
    from headgate_runtime.records import OutgoingRecord

    from headgate_producer.metrics import ProducerMetrics


class ClosedError(UnavailableError):
    """The service is paused, drains or stops: it takes no events now."""


class _Request:
    """The records of one request that are not settled yet."""

    def __init__(self, count: int, started: float, loop: asyncio.AbstractEventLoop) -> None:
        self.left = count
        self.started = started
        self.error: HeadgateError | None = None
        self.settled: asyncio.Future[None] = loop.create_future()

    def resolve(self) -> None:
        """Wake the request, on its own event loop; it may have given up."""
        if not self.settled.done():
            self.settled.set_result(None)

    def announce(self) -> None:
        """Have the request woken, from any thread."""
        loop = self.settled.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(self.resolve)


class Intake:
    """Bounds and follows what was handed over. Safe on several threads.

    Attributes:
        wake: Set when records were handed over, so that an idle polling thread looks at once.
    """

    def __init__(
        self,
        producer: RecordProducer,
        metrics: ProducerMetrics,
        *,
        max_outstanding: int,
        stall_after_s: float,
        clock: Callable[[], float],
    ) -> None:
        """Open the intake.

        Args:
            producer: Sends; polled by another thread.
            metrics: Where outcomes and latencies are counted.
            max_outstanding: Most records handed over and not settled.
            stall_after_s: Without an acknowledgement for this long, while some wait for one, the broker counts as away.
            clock: Seconds, monotonic.
        """
        self.wake = threading.Event()
        self._producer = producer
        self._metrics = metrics
        self._max_outstanding = max_outstanding
        self._stall_after_s = stall_after_s
        self._clock = clock
        self._lock = threading.Lock()
        self._outstanding = 0
        self._progress_at = clock()
        self._closed: str | None = None
        metrics.outstanding.set_function(lambda: self._outstanding)

    def close(self, reason: str) -> None:
        """Take no more records; what was handed over goes on."""
        self._closed = reason

    def reopen(self) -> None:
        """Take records again."""
        self._closed = None

    def outstanding(self) -> int:
        """Records handed over and not settled."""
        return self._outstanding

    def unavailable(self) -> str | None:
        """Why no records are taken whatever their number, None where they are."""
        if self._closed is not None:
            return self._closed
        if self._outstanding and self._clock() - self._progress_at > self._stall_after_s:
            return f"the broker has acknowledged nothing for {self._stall_after_s:g} s"
        return None

    async def deliver(self, records: Sequence[OutgoingRecord], timeout_s: float) -> None:
        """Hand records over and wait until every in-sync replica has all of them.

        Where it raises after the first record was handed over, some or all of them may be stored: the whole request has
        to be repeated, with the same event ids.

        Args:
            records: At least one.
            timeout_s: How long to wait.

        Raises:
            ClosedError: Paused, draining or stopping; nothing was handed over.
            BackpressureError: Too many records wait for their acknowledgement.
            UnavailableError: The broker is away, or did not acknowledge all of them in time.
            RejectedError: The broker refused a record for good.
        """
        self._reserve(len(records))
        request = _Request(len(records), self._clock(), asyncio.get_running_loop())
        self._hand_over(records, request)
        try:
            await asyncio.wait_for(request.settled, timeout_s)
        except TimeoutError as error:
            raise UnavailableError(f"the broker did not acknowledge all events within {timeout_s:g} s") from error
        if request.error is not None:
            raise request.error

    def _reserve(self, count: int) -> None:
        with self._lock:
            if self._closed is not None:
                raise ClosedError(self._closed)
            if away := self.unavailable():
                raise UnavailableError(away)
            if self._outstanding + count > self._max_outstanding:
                raise BackpressureError(
                    f"{self._outstanding} events wait for their acknowledgement; {self._max_outstanding} may"
                )
            if self._outstanding == 0:
                self._progress_at = self._clock()
            self._outstanding += count

    def _hand_over(self, records: Sequence[OutgoingRecord], request: _Request) -> None:
        sent = 0
        try:
            for record in records:
                self._producer.send(record, partial(self._on_delivery, request))
                sent += 1
        finally:
            self.wake.set()
            with self._lock:
                self._outstanding -= len(records) - sent

    def _on_delivery(self, request: _Request, error: HeadgateError | None) -> None:
        now = self._clock()
        with self._lock:
            self._outstanding -= 1
            request.left -= 1
            settled = request.left == 0
            if error is None:
                self._progress_at = now
            else:
                request.error = error
        self._metrics.delivered(now - request.started, error)
        if settled:
            request.announce()
