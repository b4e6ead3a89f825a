"""What an event costs the processor, beside a bare loop that consumes, decodes, encodes and produces in transactions.

Both work off the same backlog, in a process of their own, on the same brokers. A second part gives the processor many
accounts: how much memory it takes with all their windows open, and how long it takes to read its state back after a
kill. Run it from the project's root: ``make bench-processor``; the figures go to ``build/bench/processor.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from headgate_local.platform import Platform, Replicas
from headgate_local.progress import PlainProgress
from headgate_runtime.config import KafkaSettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.kafka.consumer import KafkaConsumer
from headgate_runtime.records import TopicPartition

from tests.bench.backlog import SOURCE, Backlog
from tests.load.bounds import Bound, report
from tests.load.decided import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
GROUP, BARE_GROUP, BARE_TOPIC = "processor", "bare", "bare-events"
PROFILES, STATE = "account-profiles", "processor-state"
WINDOWS = """
name: account_activity
description: As the prototype counts, a minute and ten minutes of each account.
source: enriched-events
output: account-profiles
key: [payload.attributes.user_id]
grace: 1m
windows:
  - {name: 1m, kind: tumbling, size: 1m}
  - {name: 10m, kind: hopping, size: 10m, step: 5m}
aggregates:
  - {name: amount, kind: sum, of: payload.attributes.amount}
  - {name: countries, kind: distinct, of: payload.attributes.country, at_most: 32}
"""
EVENTS, ACCOUNTS = 600_000, 2_000
MANY_ACCOUNTS = 500_000
TIMEOUT_S = 400.0
LOOK_S = 0.05
BEGIN, END = 0.1, 0.9
BOUNDS = (Bound("cpu_s_per_million_events", at_most=20),)


def main() -> int:
    """Measure, print and write the figures; 1 where one is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--accounts", type=int, default=MANY_ACCOUNTS, help="of the part about memory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        definitions = Path(scratch) / "definitions"
        definitions.mkdir()
        (definitions / "account_activity.yaml").write_text(WINDOWS, "utf-8")
        settings = {
            "HEADGATE_PROCESSOR_DEFINITIONS_DIR": str(definitions),
            "HEADGATE_PROCESSOR_STATE_KEYS": str(2 * arguments.accounts),
        }
        services = [Replicas("processor", 1, settings)]
        with Platform(Path(scratch) / "platform", services=services, progress=PlainProgress(sys.stderr)) as platform:
            figures = Bench(platform).measure(arguments.events, arguments.accounts)
    details = {"events": arguments.events, "accounts": ACCOUNTS, "event_time_s": HOUR / 2_000, "windows": WINDOWS}
    return report("bench", "processor", figures, BOUNDS, details)


class Bench:
    """One processor on one platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._processor = platform.processes["processor-0"]
        self._kafka = KafkaSettings(bootstrap_servers=platform.endpoints.bootstrap_servers)
        self._admin = KafkaAdmin(self._kafka)
        self._backlog = Backlog(platform.endpoints)
        self._processor.stop()

    def measure(self, events: int, accounts: int) -> dict[str, float]:
        """Measure the backlog, then the many accounts."""
        self._backlog.send(events, accounts=ACCOUNTS, span_ms=HOUR // 2)
        bare_us = self._bare(events)
        self._processor.start()
        before = self._written(PROFILES)
        ours_us = self._cpu_us_per_event(GROUP, events, lambda: self._processor.worker_pid)
        windows = self._written(PROFILES) - before
        figures = {
            "events_per_cpu_s": round(1e6 / ours_us),
            "cpu_s_per_million_events": round(ours_us, 2),
            "bare_loop_cpu_s_per_million_events": round(bare_us, 2),
            "ratio_to_bare_loop": round(bare_us / ours_us, 2),
            "windows_per_event": round(windows / events, 2),
        }
        return figures | self._many(accounts, events)

    def _many(self, accounts: int, before: int) -> dict[str, float]:
        self._backlog.send(accounts, accounts=accounts, span_ms=1, each=True)
        self._until(lambda: self._done(GROUP) >= before + accounts)
        rss_mb = self._processor.rss_bytes() / 1e6
        self._processor.kill9()
        records = self._written(STATE)
        self._processor.start()
        self._processor.wait_ready()
        restored = self._restored()
        return {
            "rss_mb": round(rss_mb, 1),
            "accounts": accounts,
            "restored_records": restored["records"],
            "restore_s_per_million_records": round(restored["seconds"] * 1e6 / restored["records"], 2),
            "state_records_written": records,
        }

    def _restored(self) -> dict[str, float]:
        """What the last start of the processor says of the states beside the events."""
        found: list[dict[str, float]] = []

        def told() -> bool:
            lines = self._processor.spec.log.read_text("utf-8").splitlines()
            entries = [json.loads(line) for line in lines if '"state restored"' in line]
            found[:] = [entry for entry in entries if entry["partitions"] > 1]
            return len(found) > 1

        self._until(told)
        return found[-1]

    def _bare(self, events: int) -> float:
        self._admin.create(BARE_TOPIC, partitions=self._admin.topics()[SOURCE].partitions, config={})
        endpoints = self._platform.endpoints
        command = [sys.executable, "-m", "tests.bench.bare_loop", endpoints.bootstrap_servers, endpoints.registry_url]
        bare = subprocess.Popen([*command, BARE_GROUP, BARE_TOPIC], cwd=ROOT)
        try:
            return self._cpu_us_per_event(BARE_GROUP, events, lambda: bare.pid if bare.poll() is None else None)
        finally:
            bare.terminate()
            bare.wait()

    def _cpu_us_per_event(self, group: str, events: int, pid: Callable[[], int | None]) -> float:
        """CPU time an event between a tenth and nine tenths of the backlog, microseconds."""
        began, began_cpu = self._passed(group, int(events * BEGIN), pid)
        ended, ended_cpu = self._passed(group, int(events * END), pid)
        self._until(lambda: self._done(group) >= events)
        return (ended_cpu - began_cpu) * 1e6 / (ended - began)

    def _passed(self, group: str, wanted: int, pid: Callable[[], int | None]) -> tuple[int, float]:
        self._until(lambda: self._done(group) >= wanted)
        done, process = self._done(group), pid()
        if process is None:
            raise RuntimeError(f"the process of group {group} has ended")
        used = psutil.Process(process).cpu_times()
        return done, used.user + used.system

    def _done(self, group: str) -> int:
        consumer = KafkaConsumer(self._kafka, group_id=group)
        try:
            return sum(consumer.committed(self._places(SOURCE)).values())
        finally:
            consumer.close()

    def _written(self, topic: str) -> int:
        return sum(self._admin.high_watermarks(self._places(topic)).values())

    def _places(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self._admin.topics()[topic].partitions)]

    @staticmethod
    def _until(condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline_s:
                raise TimeoutError("the backlog is not worked off in time")
            time.sleep(LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
