"""One broker of three is killed under load, from producer to table: every event is decided and stored once.

Topics have three replicas, of which two must be in sync. The broker killed is the one that leads most partitions; it is
started again, and with ``--long`` the next one is killed when all replicas are in sync, until each was.

Run it from the project's root: ``python -m tests.chaos.broker``, or ``make chaos-writer``. The figures go to
``build/chaos/broker.json``, and it exits with 1 where one is out of bounds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka.admin import AdminClient
from headgate_local.demo import lakehouse
from headgate_local.kafka import REPLICAS, broker_name
from headgate_local.platform import Platform, Replicas
from headgate_local.progress import PlainProgress
from headgate_runtime.testing import eventually
from headgate_schemas import Contracts

from tests.load.bounds import ROOT, Bound, report
from tests.load.outputs import OUTPUT, SOURCE, exactness
from tests.load.pace import Pace
from tests.load.traffic import Traffic

if TYPE_CHECKING:
    from pyiceberg.table import Table

PER_S = 150.0
KEYS = 10_000
BEFORE_S, AFTER_S = 10.0, 20.0
IN_SYNC_TIMEOUT_S, DRAIN_TIMEOUT_S = 120.0, 120.0
LOOK_S = 0.25
LOGS = ROOT / "build" / "chaos" / "broker-logs"
SERVICES = [Replicas("enricher"), Replicas("writer", 2)]
BOUNDS = (
    Bound("kills", at_least=1),
    Bound("missing", at_most=0),
    Bound("duplicated", at_most=0),
    Bound("out_of_order", at_most=0),
    Bound("dead_letters", at_most=0),
    Bound("rows_less_outputs", at_least=0, at_most=0),
    Bound("rows_doubled", at_most=0),
    Bound("events_not_stored", at_most=0),
    Bound("service_restarts", at_most=0),
    Bound("longest_gap_s", at_most=30),
)


@dataclass
class Gaps:
    """How long no new row could be queried.

    Attributes:
        rows: Rows as last seen.
        longest_s: The longest time without a new one.
    """

    rows: int = 0
    longest_s: float = 0.0
    _since_s: float | None = field(default=None, repr=False)

    def saw(self, rows: int, at_s: float) -> None:
        """Take note of the rows there are."""
        if self._since_s is not None:
            self.longest_s = max(self.longest_s, at_s - self._since_s)
        if rows > self.rows:
            self.rows, self._since_s = rows, at_s


def main() -> int:
    """Kill, check, print and write the figures; 1 where one is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="kill each broker in turn rather than one")
    kills = REPLICAS if parser.parse_args().long else 1
    with tempfile.TemporaryDirectory() as scratch:
        progress = PlainProgress(sys.stderr)
        with Platform(Path(scratch), services=SERVICES, brokers=REPLICAS, progress=progress) as platform:
            figures, details = run(platform, kills)
            if figures["missing"] or figures["events_not_stored"]:
                details["logs"] = str(shutil.copytree(platform.stack.data / "run", LOGS, dirs_exist_ok=True))
    return report("chaos", "broker", figures, BOUNDS, details)


def run(platform: Platform, kills: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Send events, kill brokers meanwhile, wait for all rows, and compare; returns figures and details."""
    endpoints, gaps = platform.endpoints, Gaps()
    traffic = Traffic(endpoints, keys=KEYS)
    killed: list[str] = []
    back_s: list[float] = []

    def stored() -> int:
        rows = lakehouse.count_rows(_table(platform))
        gaps.saw(rows, time.monotonic())
        return rows

    def send(seconds: float) -> None:
        pace = Pace(PER_S, int(PER_S * seconds))
        while not pace.over:
            traffic.send(pace.due(), 0.0)
            stored()
            time.sleep(LOOK_S)

    send(BEFORE_S)
    for _ in range(kills):
        victim = _busiest(platform, killed)
        platform.processes[victim].kill9()
        killed.append(victim)
        began_s = time.monotonic()
        send(AFTER_S)
        eventually(lambda: not _out_of_sync(platform), IN_SYNC_TIMEOUT_S)
        back_s.append(round(time.monotonic() - began_s, 1))
    traffic.flush()
    # What is not there by then is missing, which the comparisons will say.
    deadline_s = time.monotonic() + DRAIN_TIMEOUT_S
    while stored() < traffic.sent and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
    traffic.close()
    figures = compared(platform) | {"kills": len(killed), "longest_gap_s": round(gaps.longest_s, 2)}
    restarts = platform.supervisor.restarts if platform.supervisor else {}
    brokers = {broker_name(node) for node in range(1, REPLICAS + 1)}
    figures["service_restarts"] = sum(count for name, count in restarts.items() if name not in brokers)
    details = {"killed": killed, "in_sync_again_within_s": back_s, "restarts": restarts, "events_per_s": PER_S}
    return figures, details


def compared(platform: Platform) -> dict[str, float]:
    """Stop the services and compare events, decisions and rows."""
    for name in ("enricher-0", "writer-0", "writer-1"):
        platform.processes[name].stop()
    found, table = exactness(platform.endpoints), _table(platform)
    if table is None:
        raise RuntimeError("nothing was stored")
    event_id = Contracts.load().topic(SOURCE).fields.event_id or ""
    rows = table.scan(selected_fields=(event_id, "_kafka_partition", "_offset")).to_arrow()
    positions = set(zip(rows["_kafka_partition"].to_pylist(), rows["_offset"].to_pylist(), strict=True))
    return found.figures() | {
        "rows": rows.num_rows,
        "rows_less_outputs": rows.num_rows - found.outputs,
        "rows_doubled": rows.num_rows - len(positions),
        "events_not_stored": found.inputs - len(set(rows[event_id].to_pylist())),
    }


def _table(platform: Platform) -> Table | None:
    contract = Contracts.load().topic(OUTPUT).table
    if contract is None:
        raise RuntimeError(f"the contract of {OUTPUT} names no table")
    return lakehouse.open_table(platform.endpoints.catalog, contract.name)


def _busiest(platform: Platform, spared: list[str]) -> str:
    """The broker that leads most partitions, of those not killed before."""
    topics = _client(platform).list_topics(timeout=10).topics.values()
    leads = Counter(broker_name(part.leader) for topic in topics for part in topic.partitions.values())
    return max((name for name in leads if name not in spared), key=leads.__getitem__)


def _out_of_sync(platform: Platform) -> int:
    topics = _client(platform).list_topics(timeout=10).topics.values()
    return sum(len(part.isrs) < len(part.replicas) for topic in topics for part in topic.partitions.values())


def _client(platform: Platform) -> AdminClient:
    return AdminClient({"bootstrap.servers": platform.endpoints.bootstrap_servers, "log_level": 0})


if __name__ == "__main__":
    sys.exit(main())
