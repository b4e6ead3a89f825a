"""Tables that it is not safe to write to wait here for a person, while the others go on."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.errors import HeadgateError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from headgate_writer.errors import Acceptance, UnsafeToWriteError
    from headgate_writer.sink import Sink

_log = structlog.get_logger()

# A person may also put right what is wrong and say nothing: restore a table, a log, a snapshot.
_LOOK_AGAIN_S = 15.0


class Parking:
    """Parks sinks, and says when to try one again; every method but :meth:`accept` is for the loop's thread.

    Attributes:
        accepted: What may pass: as the settings say, and what was accepted since.
    """

    def __init__(self, accepted: Collection[Acceptance], clock: Callable[[], float]) -> None:
        self.accepted = set(accepted)
        self._clock = clock
        self._parked: dict[Sink, UnsafeToWriteError] = {}
        self._look_not_before = 0.0
        self._incoming: SimpleQueue[Acceptance] = SimpleQueue()

    def park(self, sink: Sink, error: UnsafeToWriteError) -> None:
        """Let a table's records be until it is tried again."""
        _log.error("table parked", table=sink.parts.table, reason=str(error))
        sink.park(error)
        self._parked[sink] = error
        self._look_not_before = self._clock() + _LOOK_AGAIN_S

    def accept(self, what: Acceptance) -> bool:
        """Let something pass from the next tick on; False where no parked table waits for it. Safe from any thread."""
        awaited = what in {error.accept for error in list(self._parked.values())}
        if awaited:
            self._incoming.put(what)
        return awaited

    def leaving(self) -> list[Sink]:
        """Return the sinks to be tried again now, which are parked no longer."""
        due = self._parked and self._clock() >= self._look_not_before
        sinks = [*self._accepted_now(), *(self._parked if due else ())]
        for sink in sinks:
            self._parked.pop(sink, None)
        return list(dict.fromkeys(sinks))

    def _accepted_now(self) -> list[Sink]:
        sinks: list[Sink] = []
        while True:
            try:
                what = self._incoming.get_nowait()
            except Empty:
                return sinks
            _log.info("accepted", **what.body)
            waiting = [sink for sink, error in self._parked.items() if error.accept == what]
            sinks += [sink for sink in waiting if self._let_pass(sink, what)]

    def _let_pass(self, sink: Sink, what: Acceptance) -> bool:
        if what.kind != "table":
            self.accepted.add(what)
            return True
        try:
            sink.parts.committer.go_on_into(sink.parts.reopen())
        except HeadgateError as error:
            _log.error("table not opened", table=sink.parts.table, error=str(error))
            return False
        return True
