"""A real writer that stands still for longer than its session lasts, and goes on beside the one that has its work."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import httpx
from headgate_runtime.testing import eventually

from tests.integration.writers import World, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headgate_local.fixtures import Brokers
    from headgate_local.processes import ServiceProcess


def test_a_writer_that_stood_still_beyond_its_session_goes_on_in_the_same_process(
    stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]
) -> None:
    world = World(topic_name("frozen"), tmp_path, stack)
    alone = {"HEADGATE_WRITER_TOPICS": json.dumps([world.topic])}
    frozen, other = (world.writer(name, "writers", **alone) for name in ("writer-0", "writer-1"))
    with running(frozen, other):
        world.produce(2_000)
        eventually(lambda: world.row_count() == len(world.sent) and owns(frozen) and owns(other), 60)
        worker = frozen.worker_pid
        assert worker is not None
        world.produce(400)
        os.kill(worker, signal.SIGSTOP)
        try:
            world.produce(400)
            eventually(lambda: world.row_count() == len(world.sent), 60)  # the other has all partitions
            world.produce(400)
        finally:
            os.kill(worker, signal.SIGCONT)
        eventually(lambda: "session timed out" in frozen.spec.log.read_text("utf-8"), 60)
        eventually(lambda: world.row_count() == len(world.sent) and owns(frozen), 60)
        assert (frozen.worker_pid, frozen.starts) == (worker, 1)
    assert [frozen.exit_code, other.exit_code] == [0, 0]
    world.assert_exact()


def owns(writer: ServiceProcess) -> bool:
    """Whether a writer has partitions, as it says itself."""
    url = f"http://127.0.0.1:{writer.spec.environment['HEADGATE_WRITER_HTTP__PORT']}/info"
    try:
        return bool(httpx.get(url, trust_env=False).json()["assignment"])
    except httpx.TransportError:
        return False
