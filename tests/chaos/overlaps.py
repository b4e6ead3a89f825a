"""Zombies: a writer that stands still for longer than its session lasts, and goes on beside those that have its work."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_local.processes import ServiceProcess

# A commit that was sent before the stop may land after it; the second one since is another writer's.
COMMITS = 2


class Overlap:
    """Stops a writer's worker; lets it go on when others have moved every partition; over when it works again.

    Attributes:
        overtaken: Others moved every partition while it stood still.
        over: All is as it was before, or the time was up.
    """

    def __init__(
        self, victim: ServiceProcess, *, partitions: int, timeout_s: float, clock: Callable[[], float]
    ) -> None:
        """Stop it now.

        Args:
            victim: The writer.
            partitions: Number of partitions, all of which have events all the time.
            timeout_s: How long it may stand still, and how long it may take afterwards.
            clock: Monotonic seconds.
        """
        self.overtaken = False
        self.over = False
        self._victim = victim
        self._partitions = partitions
        self._timeout_s = timeout_s
        self._clock = clock
        self._worker = victim.worker_pid
        self._stopped = True
        self._begin()
        self._signal(signal.SIGSTOP)

    def moved(self, partition: int) -> None:
        """A commit moved a partition on."""
        self._commits[partition] += 1

    def step(self) -> None:
        """Take what is due; call it again and again."""
        moved = len(self._commits) == self._partitions and min(self._commits.values()) >= COMMITS
        late = self._clock() - self._since_s > self._timeout_s
        if self._stopped and (moved or late):
            self.overtaken = moved
            self.release()
        elif not self._stopped and (late or (moved and self._victim.spec.ready() is None)):
            self.over = True

    def release(self) -> None:
        """Let the worker go on."""
        if self._stopped:
            self._signal(signal.SIGCONT)
            self._stopped = False
            self._begin()

    def _begin(self) -> None:
        self._commits: Counter[int] = Counter()
        self._since_s = self._clock()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._worker is not None:
                os.kill(self._worker, number)
