"""Real writers under load that maintain their table all the time and are killed in the middle of it."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from headgate_local.processes import ServiceProcess
from headgate_runtime.testing import eventually
from headgate_writer.maintenance.reachability import Reachability, name_of
from headgate_writer.maintenance.stored import list_files, orphans

from tests.integration.writers import World, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers

ORPHAN_AGE_S = 15
MAINTAIN = {
    "interval_s": 0.2,
    "least_snapshots": 2,
    "compact_files": 2,
    "expired_age_s": 1,
    "orphan_age_s": ORPHAN_AGE_S,
    "deletes_per_s": 500,
}
SETTINGS = {
    "HEADGATE_WRITER_MAINTAIN": json.dumps(MAINTAIN),
    "HEADGATE_WRITER_KEEP_SNAPSHOTS": "10",
    "HEADGATE_WRITER_COMMIT_ROWS": "300",
}
KILLS = 4


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> World:
    return World(topic_name("maintained"), tmp_path, stack)


def maintained(world: World, instance: str) -> ServiceProcess:
    spec = world.writer(instance, "writers").spec
    return ServiceProcess(replace(spec, environment={**spec.environment, **SETTINGS}))


def url(writer: ServiceProcess, path: str) -> str:
    return f"http://127.0.0.1:{writer.spec.environment['HEADGATE_WRITER_HTTP__PORT']}{path}"


def maintenance(writer: ServiceProcess) -> dict[str, Any]:
    """What the writer says of its table's maintenance; nothing while it is down."""
    try:
        details = httpx.get(url(writer, "/info"), timeout=2).raise_for_status().json()["details"]
    except httpx.HTTPError:
        return {}
    return dict(details["maintenance"][0])


def compacting(*writers: ServiceProcess) -> ServiceProcess | None:
    return next((writer for writer in writers if maintenance(writer).get("doing") == "compact"), None)


def metric(writer: ServiceProcess, name: str) -> float:
    text = httpx.get(url(writer, "/metrics"), timeout=5).text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def left_over(world: World) -> set[str]:
    """Files that nothing refers to: listed first, looked up afterwards."""
    table = world.table()
    assert table is not None
    files = list(list_files(table.metadata, table.io))
    return {file.path for file in orphans(files, referred_to(world), modified_before_ms=time.time_ns())}


def referred_to(world: World) -> frozenset[str]:
    """Names of the files that the table refers to."""
    table = world.table()
    assert table is not None
    return Reachability().survey(table.metadata, table.metadata_location, table.io).names()


@contextmanager
def loaded(world: World) -> Iterator[None]:
    """Produce without a pause until the block ends."""
    done = threading.Event()

    def produce() -> None:
        while not done.is_set():
            world.produce(500)

    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(produce)
        try:
            yield
        finally:
            done.set()
        load.result()


def test_writers_killed_in_the_middle_of_compactions_lose_nothing_and_leave_nothing_behind(world: World) -> None:
    pair = [maintained(world, "writer-0"), maintained(world, "writer-1")]
    with running(*pair):
        for writer in pair:
            writer.wait_ready()
        with loaded(world):
            for _ in range(KILLS):
                seen = world.row_count()
                victim = eventually(lambda: compacting(*pair), 60)
                victim.kill9()
                assert victim.revive()
                victim.wait_ready()
                eventually(lambda seen=seen: world.row_count() > seen, 30)
        eventually(lambda: world.row_count() >= len(world.sent), 60)
        world.assert_exact()
        left = left_over(world)
        assert left, "no kill hit a compaction or a commit"
        eventually(lambda: not left & left_over(world), 90)
        assert sum(metric(writer, "headgate_writer_maintenance_compacted_files_total") for writer in pair) > 0
        names = referred_to(world)  # a compaction that was under way may have landed
        gone = {path for path in left if name_of(path) not in names}
        deleted = "headgate_writer_maintenance_deleted_files_total"  # counted a moment after they are gone
        eventually(lambda: sum(metric(writer, deleted) for writer in pair) >= len(gone), 10)
    assert [writer.exit_code for writer in pair] == [0, 0]
    world.assert_exact()
