"""A steady load on writers that are killed and frozen meanwhile, and what the table's head shows of it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from tests.chaos.heads import Heads
from tests.chaos.kills import Killer, Recoveries
from tests.chaos.lakehouse import TOPIC, Lakehouse
from tests.chaos.overlaps import Overlap
from tests.chaos.stamped import StampedLoad
from tests.load.pace import Pace

if TYPE_CHECKING:
    from types import TracebackType

OVERLAPS: Final = 2
KILL_EVERY_S: Final = 3.2
OVERLAP_S: Final = 25.0  # what one takes, about: a session, a rebalance, and the way back
OVERLAP_TIMEOUT_S: Final = 45.0
RECOVERY_TIMEOUT_S: Final = 60.0
TAIL_TIMEOUT_S: Final = 60.0
TURN_S: Final = 0.1


@dataclass(frozen=True)
class Plan:
    """What a run does: so many kills over so many rows."""

    kills: int
    rows: int
    seed: int

    @property
    def load_s(self) -> float:
        """Seconds the rows are spread over."""
        return self.kills * KILL_EVERY_S + OVERLAPS * OVERLAP_S

    @property
    def per_s(self) -> float:
        """Rows a second."""
        return round(self.rows / self.load_s, 1)


class Fire:
    """A context manager over the load and the watch.

    Attributes:
        load: What is sent.
        recoveries: The kills.
        overtaken: Frozen writers whose partitions others moved on meanwhile.
    """

    def __init__(self, lakehouse: Lakehouse, plan: Plan) -> None:
        contract = lakehouse.contracts.topic(TOPIC)
        if contract.table is None:
            raise RuntimeError(f"the contract of {TOPIC} names no table")
        self.load = StampedLoad(lakehouse.stack, lakehouse.contracts, TOPIC)
        self.recoveries = Recoveries(contract.partitions)
        self.overtaken = 0
        self._plan = plan
        self._partitions = contract.partitions
        self._heads = Heads(lakehouse.stack.catalog, contract.table.name, TOPIC)
        self._positions: dict[int, int] = {}
        self._writers = lakehouse.writers
        self._killer = Killer(self._writers, times=plan.kills, within_s=plan.kills * KILL_EVERY_S, seed=plan.seed)
        self._overlap: Overlap | None = None
        self._overlaps = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._overlap is not None:
            self._overlap.release()
        self.load.close()
        self._heads.close()

    def go(self) -> None:
        """Send rows at a steady rate and strike meanwhile, until all is sent, struck and recovered from."""
        pace, killing_s, last_s = Pace(self._plan.per_s, sys.maxsize), 0.0, time.monotonic()
        struck_s = last_s
        while not (self._struck() and self._settled(struck_s)) or self.load.committed < self._plan.rows:
            self.load.send(pace.due())
            self._look()
            now_s = time.monotonic()
            if self._frozen():
                struck_s = now_s
            else:
                killing_s += now_s - last_s
                struck_s = now_s if self._kill(killing_s) else struck_s
            for writer in self._writers:
                if writer.revive():
                    self.recoveries.ended(writer.name)
            last_s = now_s
            time.sleep(TURN_S)

    def tail_s(self) -> float | None:
        """End the load; returns seconds from its last record to its row, None where it did not come in time."""
        ends, began_s = self.load.finish(), time.monotonic()
        while time.monotonic() < began_s + TAIL_TIMEOUT_S:
            self._look()
            if all(self._positions.get(partition, 0) >= end for partition, end in ends.items()):
                return time.monotonic() - began_s
            time.sleep(TURN_S / 5)
        return None

    def _look(self) -> None:
        """See which partitions were moved on since the last look."""
        positions, now_s = self._heads.positions(), time.monotonic()
        for partition, position in positions.items():
            if position > self._positions.get(partition, 0):
                self.recoveries.output(partition, now_s)
                if self._overlap is not None:
                    self._overlap.moved(partition)
        self._positions = positions

    def _kill(self, after_s: float) -> bool:
        struck = self._killer.strike(after_s)
        if struck is not None:
            self.recoveries.killed(struck.victim.name, time.monotonic(), whole=struck.whole)
        return struck is not None

    def _frozen(self) -> bool:
        """Begin and end overlaps, spread over the kills; none is killed meanwhile, nor before the last was recovered from."""
        if self._overlap is None and self._overlaps < OVERLAPS:
            due = len(self.recoveries.kills) >= self._plan.kills * (self._overlaps + 1) // (OVERLAPS + 1)
            if not due or not self.recoveries.settled:
                return due
            victim = self._writers[self._overlaps % len(self._writers)]
            self._overlap = Overlap(
                victim, partitions=self._partitions, timeout_s=OVERLAP_TIMEOUT_S, clock=time.monotonic
            )
            self._overlaps += 1
        if self._overlap is None:
            return False
        self._overlap.step()
        if self._overlap.over:
            self.overtaken += self._overlap.overtaken
            self._overlap = None
        return self._overlap is not None

    def _struck(self) -> bool:
        return len(self.recoveries.kills) == self._plan.kills and self._overlaps == OVERLAPS and self._overlap is None

    def _settled(self, since_s: float) -> bool:
        return self.recoveries.settled or time.monotonic() > since_s + RECOVERY_TIMEOUT_S
