"""Random kill -9 of replicas, and how long each partition stood still after one."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_local.processes import ServiceProcess

WHOLE = 5


@dataclass
class Kill:
    """One kill, open until every partition has an output again.

    Attributes:
        victim: The replica.
        at_s: When, monotonic.
        waiting: Partitions without an output since.
        whole: The keeper went with its worker: killed too, or out of patience after early deaths.
        alone: No other replica was being recovered from, from the kill to its own recovery.
        recovery_s: Time to the first committed output of the partition that waited longest; None while open.
    """

    victim: str
    at_s: float
    waiting: set[int]
    whole: bool
    alone: bool
    recovery_s: float | None = None


@dataclass
class Recoveries:
    """Times every kill to the next committed output of each partition.

    A kill of a replica that has not recovered from the last one takes that one's place: time runs from the later.

    Attributes:
        partitions: Number of partitions, all of which have events all the time.
        kills: All kills, in order.
    """

    partitions: int
    kills: list[Kill] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether every kill has been recovered from."""
        return not self._open()

    def killed(self, victim: str, at_s: float, *, whole: bool = False) -> None:
        """A replica was killed, its worker alone or the whole of it."""
        for kill in self._open():
            if kill.victim == victim:
                kill.waiting.clear()
        beside = self._open()
        for kill in beside:
            kill.alone = False
        self.kills.append(Kill(victim, at_s, set(range(self.partitions)), whole, alone=not beside))

    def ended(self, victim: str) -> None:
        """A replica's keeper has ended too."""
        for kill in self._open():
            kill.whole = kill.whole or kill.victim == victim

    def output(self, partition: int, at_s: float) -> None:
        """An output of a partition's event was committed."""
        for kill in self._open():
            if partition in kill.waiting and at_s > kill.at_s:
                kill.waiting.discard(partition)
                if not kill.waiting:
                    kill.recovery_s = at_s - kill.at_s

    def seconds(self, *, whole: bool = False, alone: bool | None = None) -> list[float]:
        """Recovery times from one kind of kill, in order; those a later kill took the place of are left out.

        Args:
            whole: Of whole processes, else of workers.
            alone: Only of those that were alone, or were not.
        """
        return [
            kill.recovery_s
            for kill in self.kills
            if kill.recovery_s is not None and kill.whole is whole and alone in {None, kill.alone}
        ]

    def figures(self) -> dict[str, float]:
        """Times of all kills, and by what was killed.

        Those of workers and of whole processes are told apart where no other replica was down; where kills overlap, a
        time is that of several.
        """
        alone, whole = self.seconds(alone=True), self.seconds(whole=True, alone=True)
        overlapping = [*self.seconds(alone=False), *self.seconds(whole=True, alone=False)]
        kinds = {
            "recovery": [*alone, *whole, *overlapping],
            "worker_recovery": alone,
            "whole_recovery": whole,
            "overlapping_recovery": overlapping,
        }
        figures: dict[str, float] = {
            "kills": len(self.kills),
            "kills_of_whole_processes": sum(kill.whole for kill in self.kills),
            "kills_not_recovered": len(self._open()),
        }
        for kind, seconds in kinds.items():
            figures[f"{kind}_count"] = len(seconds)
            if seconds:
                figures |= {f"{kind}_s_max": round(max(seconds), 2), f"{kind}_s_median": round(median(seconds), 2)}
        return figures

    def times(self) -> list[dict[str, Any]]:
        """Every kill: whom, when (monotonic seconds), and how long until all partitions had moved on."""
        return [
            {
                "victim": kill.victim,
                "at_s": round(kill.at_s, 2),
                "whole": kill.whole,
                "alone": kill.alone,
                "recovery_s": kill.recovery_s and round(kill.recovery_s, 2),
            }
            for kill in self.kills
        ]

    def _open(self) -> list[Kill]:
        return [kill for kill in self.kills if kill.waiting]


@dataclass(frozen=True)
class Strike:
    """What is to be killed, and when.

    Attributes:
        moment_s: Seconds from the beginning.
        victim: The replica.
        whole: The keeper with its worker, as when a machine is lost; else the worker, as the kernel does.
    """

    moment_s: float
    victim: ServiceProcess
    whole: bool


class Killer:
    """Kills one of the replicas at random moments. One kill in ``WHOLE`` takes the keeper too.

    Args:
        replicas: The replicas.
        times: Kills in all.
        within_s: Time over which they are spread, evenly by chance: some strike while a replica starts.
        seed: Of the moments and victims.
    """

    def __init__(self, replicas: Sequence[ServiceProcess], *, times: int, within_s: float, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311 - chooses moments, guards nothing
        moments = sorted(draw.uniform(0, within_s) for _ in range(times))
        self._replicas = list(replicas)
        self._planned = [
            Strike(moment, draw.choice(self._replicas), whole=number % WHOLE == WHOLE - 1)
            for number, moment in enumerate(moments)
        ]

    def strike(self, elapsed_s: float) -> Strike | None:
        """Kill if a kill is due after so many seconds; returns what was killed."""
        struck = self._planned.pop(0) if self._planned and elapsed_s >= self._planned[0].moment_s else None
        if struck is not None:
            (struck.victim.kill9 if struck.whole else struck.victim.kill9_worker)()
        return struck
