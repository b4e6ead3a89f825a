"""A model's answer is paid for once: real enrichers killed and moved between the answer and its commit."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from headgate_runtime.avro import Decoder
from headgate_runtime.testing import eventually

from tests.integration.enrichers import TOPICS, World, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers

KILLS = 6
EVENTS = 900  # some twenty of them are for the model
ANSWERS = 8  # to wait for before the next interruption
# Long enough for answers to be kept and not yet in a commit whenever a kill comes.
SLOW_COMMIT_MS = "1500"


class Kept(NamedTuple):
    """An answer in the results topic: the event's position, the number of the call, and whether another event paid."""

    partition: int
    offset: int
    number: int
    reused: bool


class Payments(World):
    """The world with a view on what was paid for."""

    def kept(self) -> list[Kept]:
        """Every answer in the results topic; one that stands there twice was paid for twice."""
        topic = f"{self.name}.{TOPICS['results_topic']}"
        decoder = Decoder(self.registry, self.contracts.record(self.contracts.topic(topic).record))
        values = [decoder.decode(record.value) for record in self.read(topic)]
        return [Kept(*(value[name] for name in Kept._fields)) for value in values]

    def kept_and_undecided(self) -> int:
        """Events with an answer that is kept and no output that is committed."""
        decided = {position_of(event) for event in self.decided()}
        return len({(answer.partition, answer.offset) for answer in self.kept()} - decided)

    def answers(self) -> int:
        return int(self.model_stats()["answers"])

    def all_decided(self) -> bool:
        return self.written() >= len(self.sent) and self.committed() >= len(self.sent)

    def assert_paid_once(self, *, interruptions: int) -> dict[str, int]:
        """No kept answer was asked for again; what was paid and not kept was in flight at a kill or a rebalance."""
        kept = self.kept()
        by_call = Counter((answer.partition, answer.offset, answer.number) for answer in kept)
        assert [call for call, count in by_call.items() if count > 1] == []
        paid = Counter((answer.partition, answer.offset) for answer in kept if not answer.reused)
        known = {(answer.partition, answer.offset) for answer in kept}
        for event in self.assert_exactly_once():
            metadata = event["agent_metadata"]
            if metadata["tier"] == "model":
                assert position_of(event) in known
                assert metadata["model_calls"] == paid[position_of(event)]
        stats = self.model_stats()
        in_flight = stats["answers"] - paid.total()
        assert 0 <= in_flight <= interruptions * stats["peak_in_flight"]
        return {"answers": stats["answers"], "kept": len(kept), "in_flight_when_interrupted": in_flight}


def position_of(event: dict[str, Any]) -> tuple[int, int]:
    source = event["processing_metadata"]
    return source["source_partition"], source["source_offset"]


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> Iterator[Payments]:
    world = Payments(topic_name("paid"), tmp_path, stack)
    world.model.start()
    world.model.wait_ready()
    world.faults(latency_ms=300)
    yield world
    world.model.stop()


def test_an_answer_that_was_kept_is_not_paid_for_again_however_often_the_enricher_is_killed(
    world: Payments, record_property: Callable[[str, object], None]
) -> None:
    enricher = world.enricher("enricher-0", COMMIT_INTERVAL_MS=SLOW_COMMIT_MS)
    undecided: list[int] = []
    with running(enricher):
        for _ in range(KILLS):
            before = world.answers()
            world.produce_in_transactions(3, EVENTS // 3)
            eventually(lambda before=before: world.answers() > before + ANSWERS, 60)
            enricher.kill9()
            undecided.append(world.kept_and_undecided())
            assert enricher.revive()
            enricher.wait_ready()
        eventually(world.all_decided, 90)
    assert sum(undecided) > KILLS, "the kills came when nothing was at stake"
    record_property("paid", world.assert_paid_once(interruptions=KILLS) | {"kept_when_killed": sum(undecided)})


def test_an_answer_survives_its_partition_moving_to_another_replica_and_back(
    world: Payments, record_property: Callable[[str, object], None]
) -> None:
    first = world.enricher("enricher-0", COMMIT_INTERVAL_MS=SLOW_COMMIT_MS)
    second = world.enricher("enricher-1", COMMIT_INTERVAL_MS=SLOW_COMMIT_MS)
    with running(first):
        world.produce(EVENTS)
        eventually(lambda: world.answers() > ANSWERS, 60)
        with running(second):
            world.produce(EVENTS)
            before = world.answers()
            eventually(lambda: world.answers() > before + ANSWERS, 60)
            first.kill9()
            assert first.revive()
            first.wait_ready()
            world.produce(EVENTS)
        eventually(world.all_decided, 90)
    record_property("paid", world.assert_paid_once(interruptions=4))
