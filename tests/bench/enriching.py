"""What the enricher's bench runs: a backlog worked off by the enricher or by the naive loop, and a steady load."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil
from headgate_runtime.config import KafkaSettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_schemas import Contracts

from tests.load.model import Model
from tests.load.outputs import OUTPUT, SOURCE, Progress, Reader
from tests.load.pace import Pace
from tests.load.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_local.platform import Platform

ROOT = Path(__file__).parents[2]
GROUP, NAIVE_GROUP, NAIVE_TOPIC = "enricher", "naive", "naive-enriched"
LATENCY_MS = 500
KEYS = 50_000
BEGIN, END = 0.15, 0.95
LONGEST_RUN_S = 300.0
LOOK_S = 0.02
RSS_EVERY_S = 1.0


@dataclass(frozen=True)
class Rate:
    """What one run did between 15 and 95 % of its events.

    Attributes:
        events_per_s: Events committed a second.
        cpu_us_per_event: CPU time of the process an event, microseconds.
        model_calls_per_s: Answers of the model a second.
    """

    events_per_s: float
    cpu_us_per_event: float
    model_calls_per_s: float

    @property
    def model_calls_per_event(self) -> float:
        """Answers of the model an event: what is remembered of a key moves the share, look-ups add rounds."""
        return self.model_calls_per_s / self.events_per_s


@dataclass
class Steady:
    """What a steady load showed.

    Attributes:
        fast_ms: Input record's timestamp to committed output of events that no model was asked about, ascending.
        asked_ms: The same for the others.
        rss_mb: Resident memory of the enricher, one sample a second.
    """

    fast_ms: list[float] = field(default_factory=list)
    asked_ms: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)

    @property
    def rss_growth_mb(self) -> float:
        """Median memory of the last tenth of the time, less that of the tenth after the first third."""
        tenth = max(1, len(self.rss_mb) // 10)
        third = len(self.rss_mb) // 3
        return median(self.rss_mb[-tenth:]) - median(self.rss_mb[third : third + tenth])


class Bench:
    """One enricher on one platform; a context manager."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._endpoints = platform.endpoints
        self._enricher = platform.processes["enricher-0"]
        self._progress = Progress(self._endpoints, GROUP)
        self._traffic = Traffic(self._endpoints, keys=KEYS)
        self._model = Model(self._endpoints.bedrock_url)
        self._model.faults(latency_ms=LATENCY_MS)
        self._enricher.stop()
        self._loaded_from = self._progress.ends()

    def load(self, events: int, share: float) -> None:
        """Leave events for whoever comes next, ``share`` of them for the model."""
        self._loaded_from = self._progress.ends()
        self._traffic.send(events, share)
        self._traffic.flush()

    def enrich(self, events: int) -> Rate:
        """Let a fresh enricher work off what was loaded."""
        self._enricher.start()
        try:
            return self._rate(
                self._progress, sum(self._loaded_from.values()), events, lambda: self._enricher.worker_pid
            )
        finally:
            self._enricher.stop()

    def enrich_naively(self, events: int) -> Rate:
        """Let the naive loop work on the events the enricher has just done, from the first on."""
        kafka = KafkaSettings(bootstrap_servers=self._endpoints.bootstrap_servers)
        KafkaAdmin(kafka).create(NAIVE_TOPIC, partitions=Contracts.load().topic(OUTPUT).partitions, config={})
        progress = Progress(self._endpoints, NAIVE_GROUP)
        progress.start_at(self._loaded_from)
        urls = (self._endpoints.bootstrap_servers, self._endpoints.registry_url, self._endpoints.bedrock_url)
        command = [sys.executable, "-m", "tests.bench.naive_loop", *urls, NAIVE_GROUP, NAIVE_TOPIC]
        naive = subprocess.Popen(command, cwd=ROOT)
        try:
            before = sum(self._loaded_from.values())
            return self._rate(progress, before, events, lambda: None if naive.poll() is not None else naive.pid)
        finally:
            naive.terminate()
            naive.wait()
            progress.close()

    def steady(self, per_s: float, share: float, seconds: float) -> Steady:
        """Let a fresh enricher decide events that come at a steady rate."""
        found, reader = Steady(), Reader(self._endpoints)
        self._enricher.start()
        self._enricher.wait_ready()
        self._traffic.send(int(per_s), share)  # connections, codecs and graphs are used once before it counts
        self._until(lambda: len(list(reader.poll())) == 0 and self._caught_up())
        pace, sampled_s, wanted = Pace(per_s, int(per_s * seconds)), 0.0, self._traffic.sent + int(per_s * seconds)
        while not (pace.over and self._caught_up()):
            self._traffic.send(pace.due(), share)
            for seen in reader.poll():
                (found.fast_ms if seen.tier == "rules" else found.asked_ms).append(seen.at_ms - seen.arrived_ms)
            if time.monotonic() - sampled_s >= RSS_EVERY_S and not pace.over:
                sampled_s = time.monotonic()
                found.rss_mb.append(self._enricher.rss_bytes() / 1e6)
            if not self._enricher.running:
                raise RuntimeError(f"the enricher ended after {wanted} events; see {self._enricher.spec.log}")
        reader.close()
        self._enricher.stop()
        found.fast_ms.sort()
        found.asked_ms.sort()
        return found

    def close(self) -> None:
        """Close the clients."""
        self._traffic.close()
        self._progress.close()
        self._model.close()

    def _caught_up(self) -> bool:
        return self._progress.done() >= sum(self._progress.ends().values())

    def _rate(self, progress: Progress, before: int, events: int, pid: Callable[[], int | None]) -> Rate:
        began_s, began_cpu, began_calls = self._passed(progress, before + int(events * BEGIN), pid)
        ended_s, ended_cpu, ended_calls = self._passed(progress, before + int(events * END), pid)
        self._passed(progress, before + events, pid)
        share, seconds = events * (END - BEGIN), ended_s - began_s
        return Rate(share / seconds, (ended_cpu - began_cpu) * 1e6 / share, (ended_calls - began_calls) / seconds)

    def _passed(self, progress: Progress, done: int, pid: Callable[[], int | None]) -> tuple[float, float, int]:
        """Wait until so many events are done; returns the time, the process's CPU seconds and the model's answers."""
        self._until(lambda: progress.done() >= done, pid)
        now_s, process = time.monotonic(), pid()
        used = psutil.Process(process).cpu_times() if process else None
        return now_s, used.user + used.system if used else 0.0, int(self._model.stats()["answers"])

    def _until(self, condition: Callable[[], bool], pid: Callable[[], int | None] = os.getpid) -> None:
        deadline_s = time.monotonic() + LONGEST_RUN_S
        while not condition():
            if time.monotonic() > deadline_s or pid() is None:
                raise TimeoutError(f"the events of {SOURCE} are not done in time, or their process has ended")
            time.sleep(LOOK_S)
