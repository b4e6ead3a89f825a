"""Events posted to several producers at a steady rate, in the version that each of them takes."""

from __future__ import annotations

import copy
import itertools
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
from headgate_schemas import Contracts

from tests.load.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from headgate_local.endpoints import Endpoints

Grow = Callable[[dict[str, Any]], dict[str, Any]]

RECORD = "base_event"
KEYS = 97
TICK_S = 0.05
TIMEOUT_S = 30.0


class Posting:
    """Posts from a thread of its own, as a client behind a load balancer: who does not answer is passed over; a context manager.

    Args:
        endpoints: Where the platform is.
        urls: Addresses of the producers.
        rate: Events a second.
        grown: Makes an event of the next version of one.

    Attributes:
        newer: Addresses of the producers that take the next version.
        ids: Ids of the events that were accepted.
        accepted: How many they are.
        longest_gap_s: Longest time between two requests that were accepted.
    """

    def __init__(self, endpoints: Endpoints, urls: Sequence[str], rate: float, grown: Grow) -> None:
        self.newer: set[str] = set()
        self.ids: set[str] = set()
        self.longest_gap_s = 0.0
        self._urls = urls
        self._rate = rate
        self._grown = grown
        self._headers = {
            "Authorization": f"Bearer {Path(endpoints.control_token_file).read_text('utf-8').strip()}",
            "Connection": "close",  # a kept one may end under a request, and what became of it would be a guess
        }
        self._examples = itertools.cycle(Contracts.load().examples(RECORD).values())
        self._numbers = itertools.count()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="posting")
        self._failure: Exception | None = None

    @property
    def accepted(self) -> int:
        """Events that were accepted so far; raises what ended the posting, if anything did."""
        if self._failure is not None:
            raise RuntimeError("events could not be posted") from self._failure
        return len(self.ids)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        pace, last_s = Pace(self._rate, sys.maxsize), time.monotonic()
        with httpx.Client(headers=self._headers, timeout=TIMEOUT_S, trust_env=False) as client:
            for first in itertools.cycle(range(len(self._urls))):
                if self._over.wait(TICK_S):
                    return
                try:
                    self._post(client, [*self._urls[first:], *self._urls[:first]], pace.due())
                except Exception as error:  # noqa: BLE001 - told to who asks for the count
                    self._failure = error
                    return
                now_s = time.monotonic()
                self.longest_gap_s = max(self.longest_gap_s, now_s - last_s)
                last_s = now_s

    def _post(self, client: httpx.Client, urls: Sequence[str], count: int) -> None:
        """Post events to the first of the producers that takes them."""
        events = [self._event(newer=urls[0] in self.newer) for _ in range(count)]
        deadline_s = time.monotonic() + TIMEOUT_S
        for url in itertools.cycle(urls):
            try:
                answer = client.post(f"{url}/events", json=events)
            except httpx.ConnectError:
                answer = None
            if answer is not None and answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                answer.raise_for_status()
                self.ids.update(event["event_id"] for event in events)
                return
            if time.monotonic() > deadline_s:
                raise TimeoutError("no producer takes events")

    def _event(self, *, newer: bool) -> dict[str, Any]:
        number = next(self._numbers)
        event = copy.deepcopy(next(self._examples)) | {"event_id": f"{'new' if newer else 'old'}-{number}"}
        event["payload"]["attributes"]["user_id"] = f"key-{number % KEYS}"
        return self._grown(event) if newer else event
