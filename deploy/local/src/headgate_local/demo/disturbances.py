"""What goes wrong on purpose while the demo runs: the model is away for a while, services are killed."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from headgate_local.folder import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headgate_local.processes import ServiceProcess

HTTP_TIMEOUT_S = 5.0
WORKING_S = 1.5
FELT_CALLS, UNFELT_S = 5, 20.0
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Something that is done ``at_s`` seconds after the first event, or as soon after as it can be done."""

    at_s: float
    what: str
    act: Callable[[], None]


def outage(bedrock_url: str, asker_ready: Callable[[], None], at_s: float, lasts_s: float) -> Disturbance:
    """Take the model away for a while: every call fails as it does when Bedrock is unavailable.

    It goes on until some calls have failed: on a busy machine hardly an event may need the model in so short a time.

    Args:
        bedrock_url: The local endpoint.
        asker_ready: Waits until the service that asks the model is at work, for the outage to begin then.
        at_s: When.
        lasts_s: For how long at least.
    """

    def failed() -> int:
        stats = httpx.get(f"{bedrock_url}/admin/stats", timeout=HTTP_TIMEOUT_S).raise_for_status().json()
        return sum(stats["by_error"].values())

    def set_error_rate(rate: float) -> None:
        faults = httpx.get(f"{bedrock_url}/admin/faults", timeout=HTTP_TIMEOUT_S).raise_for_status().json()
        changed = faults | {"error_rate": rate}
        httpx.put(f"{bedrock_url}/admin/faults", json=changed, timeout=HTTP_TIMEOUT_S).raise_for_status()

    def act() -> None:
        asker_ready()
        before, began_s = failed(), time.monotonic()
        set_error_rate(1.0)
        time.sleep(lasts_s)
        while failed() < before + FELT_CALLS and time.monotonic() - began_s < UNFELT_S:
            time.sleep(LOOK_S)
        set_error_rate(0.0)

    return Disturbance(at_s, "the model was away", act)


def kills(processes: Sequence[ServiceProcess], times: int, within_s: float) -> list[Disturbance]:
    """Kill each process ``times`` times with SIGKILL, in turn, spread evenly; each strikes a victim that is at work."""
    victims = [process for _ in range(times) for process in processes]
    step_s = within_s / (len(victims) + 1)

    def kill(victim: ServiceProcess) -> None:
        victim.wait_ready()
        time.sleep(WORKING_S)
        victim.kill9()

    return [
        Disturbance(step_s * number, f"kill -9 {victim.name}", lambda victim=victim: kill(victim))  # type: ignore[misc]
        for number, victim in enumerate(victims, 1)
    ]


class Disturber:
    """Does disturbances in a thread of its own, in the order of their times.

    Attributes:
        done: When each disturbance was done (monotonic seconds), by what it is.
    """

    def __init__(self, disturbances: Sequence[Disturbance], say: Callable[[str], None]) -> None:
        self.done: defaultdict[str, list[float]] = defaultdict(list)
        self._disturbances = sorted(disturbances, key=lambda disturbance: disturbance.at_s)
        self._say = say
        self._error: Exception | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disturber", daemon=True)

    def start(self) -> None:
        """Begin now."""
        self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """Wait until all is done.

        Raises:
            StackError: It was not in time, or one of them failed.
        """
        self._thread.join(timeout_s)
        self._ending.set()
        if self._error is not None:
            raise StackError(f"a disturbance failed: {self._error}") from self._error
        if self._thread.is_alive():
            raise StackError(
                f"only {sum(map(len, self.done.values()))} of {len(self._disturbances)} disturbances were done in time"
            )

    def _run(self) -> None:
        began = time.monotonic()
        try:
            for disturbance in self._disturbances:
                if self._ending.wait(max(0.0, began + disturbance.at_s - time.monotonic())):
                    return
                disturbance.act()
                self.done[disturbance.what].append(time.monotonic())
                self._say(f"{time.monotonic() - began:5.1f} s: {disturbance.what}")
        except (httpx.HTTPError, StackError) as error:
            self._error = error
