"""Maintenance of all tables of a replica: whose turn it is, how far it is, and what becomes of failures."""

from __future__ import annotations

import queue
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from headgate_writer.commit import Backoff
from headgate_writer.maintenance.maintainer import Between, Pause, Work

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Generator

    from headgate_writer.maintenance.background import Background
    from headgate_writer.maintenance.maintainer import Maintainer, Wait
    from headgate_writer.maintenance.metrics import MaintenanceMetrics

_log = structlog.get_logger()

# A piece of work is bounded; a stop waits for it so long, and what is left is an orphan like any other.
_CLOSE_TIMEOUT_S: Final = 5.0


@dataclass(slots=True)
class _Active:
    """The round that is going on."""

    table: str
    round: Generator[Wait, Any, bool]
    began_at: float
    wait: Wait | Future[Any] | None = None
    not_before: float = 0.0


@dataclass(slots=True)
class _Turn:
    """When a table is next.

    Attributes:
        due_at: Monotonic seconds.
        everything: Asked for by a person.
        leads: This replica maintains the table.
        backoff: After failures.
    """

    due_at: float
    backoff: Backoff
    everything: bool = False
    leads: bool = False


class Upkeep:
    """Drives the maintainers; :meth:`tend` is for the loop's thread, :meth:`request` and :meth:`info` for any.

    One table is maintained at a time. Nothing that goes wrong here goes further: it is counted, logged and tried again
    later, and the writer's own commits know nothing of it.
    """

    def __init__(
        self,
        background: Background,
        metrics: MaintenanceMetrics,
        *,
        interval_s: float,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        """Build the upkeep.

        Args:
            background: Runs what concerns files.
            metrics: Where failures are counted.
            interval_s: Seconds between two rounds of a table that has nothing due.
            clock: Monotonic seconds.
            rng: Jitter.
        """
        self._maintainers: dict[str, Maintainer] = {}
        self._rng = rng
        self._background = background
        self._metrics = metrics
        self._interval_s = interval_s
        self._clock = clock
        self._turns: dict[str, _Turn] = {}
        self._active: _Active | None = None
        self._requests: queue.SimpleQueue[str] = queue.SimpleQueue()

    def keep(self, table: str, maintainer: Maintainer) -> None:
        """Maintain a table from now on; where it was opened anew, by its new maintainer."""
        if self._active is not None and self._active.table == table:
            self._end(self._active, due_in_s=0.0)
        self._maintainers[table] = maintainer
        backoff = Backoff(self._interval_s, 30 * self._interval_s, self._rng)
        self._turns[table] = _Turn(self._clock() + self._rng.uniform(0, self._interval_s), backoff)

    def request(self, tables: Collection[str] | None) -> dict[str, bool]:
        """Maintain tables as soon as possible, all of them where none is named.

        Returns:
            By table, whether this replica is the one that does it.

        Raises:
            KeyError: A table is none of this writer's.
        """
        answer = {table: self._turns[table].leads for table in (tables or list(self._turns))}
        for table, leads in answer.items():
            if leads:
                self._requests.put(table)
        return answer

    def info(self) -> list[dict[str, Any]]:
        """Describe the maintenance of each table for /info."""
        return [
            {
                "table": table,
                "maintained_here": self._turns[table].leads,
                "doing": maintainer.doing,
                "small_files": maintainer.small,
                "condemned_files": maintainer.condemned,
                "failure": maintainer.failure,
            }
            for table, maintainer in list(self._maintainers.items())
        ]

    def tend(self, table: str, *, leads: bool, free: bool) -> None:
        """Take a table's maintenance one step on; blocks for a commit at most.

        Args:
            table: The table.
            leads: Whether this replica is the one that maintains it.
            free: Whether no commit to it is on its way.
        """
        turn = self._turns.get(table)
        if turn is None:
            return
        turn.leads = leads
        while not self._requests.empty():
            asked = self._turns[self._requests.get()]
            asked.due_at, asked.everything = self._clock(), True
        if self._active is None and leads and self._clock() >= turn.due_at:
            self._active = _Active(table, self._maintainers[table].round(everything=turn.everything), self._clock())
            turn.everything = False
        if self._active is None or self._active.table != table or not self._ready(self._active, free=free):
            return
        if leads:
            self._step(self._active)
        else:
            self._end(self._active, due_in_s=self._interval_s)

    def close(self) -> None:
        """Wait for the piece of work that is going on, a few seconds at most."""
        self._background.close(_CLOSE_TIMEOUT_S)

    def _ready(self, active: _Active, *, free: bool) -> bool:
        if isinstance(active.wait, Future):
            return active.wait.done()
        if isinstance(active.wait, Between):
            return free
        return self._clock() >= active.not_before

    def _step(self, active: _Active) -> None:
        maintainer, turn = self._maintainers[active.table], self._turns[active.table]
        try:
            wait = self._resume(active)
        except StopIteration as end:
            maintainer.failure = None
            turn.backoff.reset()
            # With more to do it rests for as long as it has worked, so that it never has a core to itself.
            worked_s = self._clock() - active.began_at
            self._end(active, due_in_s=min(self._interval_s, worked_s) if end.value else self._interval_s)
        except Exception as error:  # noqa: BLE001 - whatever it was, the commits go on
            maintainer.failure = repr(error)
            self._metrics.runs.labels(active.table, "round", "failed").inc()
            _log.warning("maintenance failed", table=active.table, error=repr(error))
            self._end(active, due_in_s=turn.backoff.next_s())
        else:
            active.wait = self._background.start(wait.run) if isinstance(wait, Work) else wait
            active.not_before = self._clock() + (wait.seconds if isinstance(wait, Pause) else 0.0)

    def _resume(self, active: _Active) -> Wait:
        if not isinstance(active.wait, Future):
            return next(active.round)
        error = active.wait.exception()
        return active.round.throw(error) if error else active.round.send(active.wait.result())

    def _end(self, active: _Active, *, due_in_s: float) -> None:
        active.round.close()
        self._maintainers[active.table].doing = None
        turn = self._turns[active.table]
        turn.due_at = self._clock() + (0.0 if turn.everything else due_in_s)
        self._active = None
