"""Real processors on a real broker: two replicas that are killed count every event into every window once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from headgate_local.processes import stop_together
from headgate_runtime.testing import eventually

from tests.integration.processors import World
from tests.load.decided import ACCURACY, DAY, MINUTE, Batch, events

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headgate_local.fixtures import Brokers

START_MS = int(time.time() * 1000) // DAY * DAY - DAY


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> World:
    return World(topic_name("counted"), tmp_path, stack)


def test_replicas_that_are_killed_tell_the_windows_of_a_batch_each_once(world: World) -> None:
    decided = list(events(3_000, accounts=20, start_ms=START_MS, span_ms=30 * MINUTE))
    replicas = [world.processor("processor-0"), world.processor("processor-1")]
    for replica in replicas:
        replica.start()
    try:
        for number, replica in enumerate(replicas):
            before = world.written("account-profiles")
            world.send(decided[1_500 * number : 1_500 * number + 1_500])
            eventually(lambda before=before: world.written("account-profiles") > before, 60)
            replica.kill9()
            assert replica.revive()
        world.close_windows(START_MS + 2 * DAY)
        batch = Batch(decided)
        # The last partition's closer lets the last hour be merged: three types of event, and the closers' own.
        eventually(lambda: len(hours(world)) >= 3, 60)
        eventually(lambda: batch.missing(world.read("account-profiles")) == 0, 60)
        compared = batch.compare(world.read("account-profiles"), world.read("decision-metrics"))
        for replica in replicas:
            replica.wait_ready()
    finally:
        stop_together(replicas)
    assert compared.windows > 1_000
    assert (compared.missing, compared.doubled, compared.foreign, compared.unequal) == (0, 0, 0, 0), compared.examples
    assert compared.worst_percentile_error <= ACCURACY
    assert world.read("enriched-events.late") == []
    assert [replica.exit_code for replica in replicas] == [0, 0]


def hours(world: World) -> list[str]:
    return [each["key"] for each in world.read("decision-metrics") if each["metric"] == "scores_1h"]
