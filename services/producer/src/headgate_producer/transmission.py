"""Sends candidates to the topic: paced, checked, with every one accounted for as acknowledged, refused or not delivered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from headgate_runtime.errors import BackpressureError, HeadgateError, RejectedError, UnavailableError
from headgate_schemas import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from headgate_runtime.kafka.protocols import RecordProducer
    from headgate_runtime.records import OutgoingRecord

    from headgate_producer.candidates import Candidate
    from headgate_producer.pace import Pace
    from headgate_producer.preparation import Preparation
    from headgate_producer.sidefiles import JsonLines

NOT_DELIVERED: Final = "not_delivered"
_POLL_EVERY: Final = 256  # events between two looks at delivery reports
_FULL_WAIT_S: Final = 0.005


@dataclass(slots=True)
class Summary:
    """What became of the candidates: ``read`` is the sum of the other three once the run ended.

    Attributes:
        read: Candidates taken from the sources.
        acknowledged: Events every in-sync replica has.
        undelivered: Events that were sent and not acknowledged; each is in the rejects file.
        refused: Candidates refused, by rule; each is in the rejects file.
        labelled: Labels written.
        seconds: From the first candidate to the last acknowledgement.
        stopped: Why the run ended before its sources did; None where it did not.
    """

    read: int = 0
    acknowledged: int = 0
    undelivered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    labelled: int = 0
    seconds: float = 0.0
    stopped: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The summary for a machine to read."""
        return {
            "read": self.read,
            "acknowledged": self.acknowledged,
            "undelivered": self.undelivered,
            "refused": self.refused.total(),
            "refused_by_rule": dict(sorted(self.refused.items())),
            "labelled": self.labelled,
            "seconds": round(self.seconds, 3),
            "events_per_s": round(self.acknowledged / self.seconds, 1) if self.seconds else 0.0,
            "stopped": self.stopped,
        }


class Transmission:
    """One run over candidates. Single-threaded; delivery reports run inside its own polls."""

    def __init__(
        self,
        preparation: Preparation,
        producer: RecordProducer,
        *,
        pace: Pace,
        rejects: JsonLines,
        labels: JsonLines,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self.summary = Summary()
        self._preparation = preparation
        self._producer = producer
        self._pace = pace
        self._rejects = rejects
        self._labels = labels
        self._clock = clock
        self._sleep = sleep
        self._pending: dict[int, Candidate] = {}

    def run(
        self,
        candidates: Iterable[Candidate],
        *,
        flush_timeout_s: float,
        on_progress: Callable[[Summary], None] = lambda _: None,
    ) -> Summary:
        """Send all candidates and wait for their acknowledgements; stop where the broker stays away.

        Args:
            candidates: In the order they are sent.
            flush_timeout_s: How long to wait for the last acknowledgements, also after an interruption.
            on_progress: Called now and then, and at the end.

        Raises:
            FileError: A source cannot be read to its end; what was read before is sent and accounted for.
        """
        started = self._clock()
        try:
            for candidate in candidates:
                self._take(candidate)
                if self.summary.stopped is not None:
                    break
                if self.summary.read % _POLL_EVERY == 0:
                    self._producer.poll()
                    on_progress(self.summary)
        finally:
            self._producer.flush(flush_timeout_s)
            self._give_up(f"no acknowledgement within {flush_timeout_s:g} s of the last event")
            self.summary.seconds = self._clock() - started
            on_progress(self.summary)
        return self.summary

    def _take(self, candidate: Candidate) -> None:
        wait_s = self._pace.take()
        if wait_s > 0.0:
            self._producer.poll()
            self._sleep(wait_s)
        self.summary.read += 1
        if candidate.event is None:
            self._refuse(candidate, candidate.fault or Violation("", "row", "the row gives no event"))
            return
        event = self._preparation.normalise(candidate.event)
        prepared = event if isinstance(event, Violation) else self._preparation.prepare(event)
        if isinstance(prepared, Violation):
            self._refuse(candidate, prepared)
        else:
            number = self.summary.read
            self._pending[number] = candidate
            self._send(prepared, partial(self._delivered, number))

    def _send(self, record: OutgoingRecord, on_delivery: Callable[[HeadgateError | None], None]) -> None:
        while True:
            try:
                self._producer.send(record, on_delivery)
            except BackpressureError:
                self._producer.poll()
                self._sleep(_FULL_WAIT_S)
            except RejectedError as error:
                on_delivery(error)
                return
            else:
                return

    def _delivered(self, number: int, error: HeadgateError | None) -> None:
        candidate = self._pending.pop(number, None)
        if candidate is None:  # given up before: it is accounted for
            return
        if error is not None:
            self.summary.undelivered += 1
            if isinstance(error, UnavailableError):
                self.summary.stopped = str(error)
            self._reject(candidate, Violation("", NOT_DELIVERED, str(error)))
            return
        self.summary.acknowledged += 1
        if candidate.label is not None:
            self.summary.labelled += 1
            self._labels.write(event_id=self._preparation.event_id(candidate.event or {}), label=candidate.label)

    def _give_up(self, reason: str) -> None:
        for number in tuple(self._pending):
            self._delivered(number, UnavailableError(reason))

    def _refuse(self, candidate: Candidate, violation: Violation) -> None:
        self.summary.refused[violation.rule] += 1
        self._reject(candidate, violation)

    def _reject(self, candidate: Candidate, violation: Violation) -> None:
        self._rejects.write(
            source=candidate.origin,
            row=candidate.row,
            field=violation.field,
            rule=violation.rule,
            message=violation.message,
            original=candidate.original,
        )
