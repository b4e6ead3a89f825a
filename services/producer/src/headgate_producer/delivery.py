"""The main thread of the HTTP service: polls the producer for delivery reports, and owns pause, drain and stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from headgate_runtime.loop import LoopState

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.kafka.protocols import RecordProducer
    from headgate_runtime.metrics import Metrics

    from headgate_producer.intake import Intake

_log = structlog.get_logger(__name__)

_BUSY_WAIT_S: Final = 0.001
_IDLE_WAIT_S: Final = 0.05
_FLUSH_STEP_S: Final = 0.2


class DeliveryLoop:
    """Polls on the thread that calls ``run``; ``stop``, ``pause``, ``resume``, ``drain``, ``snapshot`` are for any thread."""

    def __init__(
        self,
        producer: RecordProducer,
        intake: Intake,
        *,
        drain_timeout_s: float,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        """Wire the loop.

        Args:
            producer: Polled here and nowhere else.
            intake: What the HTTP side hands records over with.
            drain_timeout_s: How long a stop waits for acknowledgements.
            metrics: Where liveness and state are shown.
            clock: Seconds, monotonic.
        """
        self._producer = producer
        self._intake = intake
        self._drain_timeout_s = drain_timeout_s
        self._metrics = metrics
        self._clock = clock
        # Plain flags, because a signal handler must not wait for a lock.
        self._stopping = False
        self._pausing = False
        self._draining = False
        self._last_tick = clock()
        metrics.poll_age.set_function(lambda: self._clock() - self._last_tick)

    def run(self) -> None:
        """Poll until told to stop, then take no more and wait for what is outstanding."""
        self._metrics.loop_state.state("running")
        while not self._stopping:
            self._last_tick = self._clock()
            self._producer.poll()
            self._intake.wake.clear()
            # Reports come in the poll only: while some are due the next one is near.
            self._intake.wake.wait(_BUSY_WAIT_S if self._intake.outstanding() else _IDLE_WAIT_S)
        self._intake.close("the service is stopping")
        self._metrics.loop_state.state("draining")
        self._finish()
        self._metrics.loop_state.state("stopped")

    def stop(self) -> None:
        """Ask ``run`` to return once everything is acknowledged; safe in a signal handler."""
        self._stopping = True

    def pause(self) -> None:
        """Take no more events over HTTP until ``resume``."""
        self._pausing = True
        self._announce()

    def drain(self) -> None:
        """Take no more events and be not ready until ``resume``, so that nothing is outstanding any more."""
        self._draining = True
        self._announce()

    def resume(self) -> None:
        """Take back ``pause`` and ``drain``."""
        self._pausing = self._draining = False
        self._announce()

    def snapshot(self) -> LoopState:
        """What the loop is doing now."""
        return LoopState(
            last_tick_age_s=self._clock() - self._last_tick,
            paused=self._pausing,
            draining=self._draining or self._stopping,
            joined=True,
            busy=self._intake.outstanding() > 0,
            refusal=self._producer.refusal(),
        )

    def _finish(self) -> None:
        """Wait for acknowledgements in short steps, so that liveness sees the loop move."""
        deadline = self._clock() + self._drain_timeout_s
        left = self._producer.flush(_FLUSH_STEP_S)
        while left and self._clock() < deadline:
            self._last_tick = self._clock()
            left = self._producer.flush(_FLUSH_STEP_S)
        if left:
            _log.error("stopped with events not acknowledged", events=left, drain_timeout_s=self._drain_timeout_s)

    def _announce(self) -> None:
        if self._stopping:
            return
        if self._draining:
            self._intake.close("the service is draining; POST /control/resume takes that back")
            self._metrics.loop_state.state("draining")
        elif self._pausing:
            self._intake.close("the service is paused; POST /control/resume takes that back")
            self._metrics.loop_state.state("paused")
        else:
            self._intake.reopen()
            self._metrics.loop_state.state("running")
