"""What a run left: rows against what was sent, files against what refers to them, and what the writers said."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from headgate_admin.tables.reachability import check_files
from headgate_runtime.config import KafkaSettings
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.records import TopicPartition

from tests.chaos.lakehouse import TOPIC
from tests.chaos.stamped import PREFIX

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from tests.chaos.lakehouse import Lakehouse
    from tests.chaos.stamped import StampedLoad

LOOK_S = 2.0
VERIFY_TIMEOUT_S = 600.0


def hold(lakehouse: Lakehouse, load: StampedLoad) -> dict[str, float]:
    """Read the table whole and hold its rows against the events that were sent."""
    table, id_field = _table(lakehouse), lakehouse.contracts.topic(TOPIC).fields.event_id or ""
    rows = table.scan(selected_fields=(id_field, "_kafka_partition", "_offset")).to_arrow()
    numbers = np.array([int(event_id.removeprefix(PREFIX)) for event_id in rows[id_field].to_pylist()], dtype=np.int64)
    times = np.bincount(numbers, minlength=load.given)
    aborted = np.zeros(len(times), dtype=bool)
    for batch in load.aborted:
        aborted[batch.start : batch.stop] = True
    positions = rows.select(["_kafka_partition", "_offset"]).group_by(["_kafka_partition", "_offset"]).aggregate([])
    return {
        "distinct_inputs": load.committed,
        "aborted_inputs": int(aborted.sum()),
        "rows": rows.num_rows,
        "rows_less_distinct_inputs": rows.num_rows - load.committed,
        "duplicated": int(np.maximum(times - 1, 0).sum()),
        "missing": int((times[~aborted] == 0).sum()),
        "rows_of_aborted_inputs": int(times[aborted].sum()),
        "positions_doubled": rows.num_rows - positions.num_rows,
    }


def unreferenced(lakehouse: Lakehouse, timeout_s: float) -> tuple[int, int]:
    """Wait until maintenance has left no file that nothing refers to; returns how many there are then, and were at first."""
    deadline_s, first = time.monotonic() + timeout_s, None
    while True:
        orphans = check_files(_table(lakehouse), now_ms=time.time_ns() // 1_000_000).orphans
        first = orphans if first is None else first
        if not orphans or time.monotonic() > deadline_s:
            return orphans, first
        time.sleep(LOOK_S)


def verify(lakehouse: Lakehouse) -> tuple[int, dict[str, Any]]:
    """Run ``headgate table verify --log``; returns its exit code and what it found."""
    contract = lakehouse.contracts.topic(TOPIC).table
    if contract is None:
        raise RuntimeError(f"the contract of {TOPIC} names no table")
    program = str(Path(sysconfig.get_path("scripts")) / "headgate")
    environment = os.environ | {
        "HEADGATE_ADMIN_KAFKA__BOOTSTRAP_SERVERS": lakehouse.stack.bootstrap_servers,
        "HEADGATE_ADMIN_CATALOG": json.dumps(lakehouse.stack.catalog),
    }
    command = [program, "table", "verify", contract.name, "--log", "--json"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=VERIFY_TIMEOUT_S
    )
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout.startswith("{") else {"error": done.stderr[-3000:]}
    return done.returncode, found


def dead_letters(lakehouse: Lakehouse) -> int:
    """Records in the topic of dead letters."""
    name = lakehouse.contracts.topic(TOPIC).dead_letters or ""
    partitions = [TopicPartition(name, number) for number in range(lakehouse.contracts.topic(name).partitions)]
    admin = KafkaAdmin(KafkaSettings(bootstrap_servers=lakehouse.stack.bootstrap_servers))
    return sum(admin.high_watermarks(partitions).values())


def events(lakehouse: Lakehouse) -> Counter[str]:
    """How often the writers' logs tell of what."""
    lines = [line for writer in lakehouse.writers for line in writer.spec.log.read_text("utf-8").splitlines()]
    return Counter(json.loads(line)["event"] for line in lines if line.startswith("{"))


def _table(lakehouse: Lakehouse) -> Table:
    table = lakehouse.table()
    if table is None:
        raise RuntimeError("nothing was stored")
    return table
