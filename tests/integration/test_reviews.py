"""Reviews through real processes: asked by the enricher, answered by a person, joined exactly once under kill -9."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from headgate_runtime.testing import eventually
from headgate_schemas import Contracts, field_getter

from tests.integration.enrichers import World, running
from tests.integration.reviewing import Reviewing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers

OUTCOME = Contracts.load().examples("review_outcome")["override"]
EVENTS, EACH_KILL, KILLS = 40, 4_000, 3


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> World:
    return World(topic_name("reviews"), tmp_path, stack)


@pytest.fixture
def model(world: World) -> Iterator[None]:
    world.model.start()
    world.model.wait_ready()
    yield
    world.model.stop()


@pytest.mark.usefixtures("model")
def test_what_the_enricher_asks_a_person_answers_twice_and_two_later_records_follow(world: World) -> None:
    reviewing, id_of = Reviewing(world), field_getter(world.id_path)
    with running(world.enricher("enricher-0"), reviewing.process("reviews-0")):
        world.produce(1_500)
        eventually(lambda: world.committed() >= len(world.sent), 60)
        decided = {id_of(value): value for value in world.decided()}
        asked = {id_of(value): value for value in reviewing.values(reviewing.asked)}
        assert len(decided) == len(world.sent), "nothing waits for a person"
        waiting = reviewing.command("list", "--limit", "1000")["reviews"]
        assert {review["event_id"] for review in waiting} == set(asked)
        first, second = list(asked)[:2]
        reviewing.command("approve", first, second, "--comment", "As it should be.")
        reviewing.command("override", second, "--again", "--decision", "allow", "--comment", "Known to person-1.")
        eventually(lambda: sum(map(len, reviewing.revisions().values())) == 3, 30)
        later = reviewing.revisions()
    assert all({**decided[event_id], "review": value["review"]} == value for event_id, value in asked.items())
    assert Counter({event: len(values) for event, values in later.items()}) == {first: 1, second: 2}
    for event_id, values in later.items():
        metadata = [value["agent_metadata"] for value in values]
        assert [each["revision"] for each in metadata] == list(range(1, len(values) + 1))
        assert {each["tier"] for each in metadata} == {"human"}
        original = {name: part for name, part in decided[event_id].items() if not name.endswith("_metadata")}
        assert all(original.items() <= value.items() for value in values)
    assert later[second][1]["agent_metadata"]["decision_reason"] == "Known to [id]."
    assert reviewing.command("list")["pending"] == len(asked) - 2


def test_outcomes_are_joined_once_and_in_order_although_the_join_is_killed(world: World) -> None:
    reviewing = Reviewing(world)
    join = reviewing.process("reviews-0")
    with running(join):
        for _ in range(KILLS):
            before = world.written()
            reviewing.send(itertools.islice(outcomes(reviewing), EACH_KILL))
            eventually(lambda before=before: world.written() > before + 200, 30)
            join.kill9()
            assert join.revive()
        eventually(lambda: world.committed() >= KILLS * EACH_KILL, 60)
        join.wait_ready()
    assert join.exit_code == 0
    later = reviewing.revisions()
    assert len(later) == EVENTS
    for values in later.values():
        metadata = [value["agent_metadata"] for value in values]
        assert [each["revision"] for each in metadata] == list(range(1, KILLS * EACH_KILL // EVENTS + 1))
        places = [offset_of(each["evidence"]) for each in metadata]
        assert places == sorted(set(places)), "in the order of the outcomes, and each of them once"


def test_what_cannot_be_joined_goes_to_the_dead_letters_and_the_partition_goes_on(world: World) -> None:
    reviewing = Reviewing(world)
    good = answer(reviewing, "event-0")
    poison = {
        "bad_magic": b"\x01" + good[1:],
        "undecodable": good[:20],
        "contract_violation": answer(reviewing, "event-0", reviewer=""),
    }
    reviewing.send([("k", good), *(("k", value) for value in poison.values()), ("k", answer(reviewing, "event-0"))])
    with running(reviewing.process("reviews-0")):
        eventually(lambda: len(reviewing.revisions()["event-0"]) == 2, 30)
    letters = reviewing.values(f"{reviewing.answered}.dlq")
    assert {letter["cause"]: letter["value"] for letter in letters} == poison
    assert [(letter["field"], letter["rule"]) for letter in letters if letter["rule"]] == [
        ("outcome.reviewer", "reviewer_present")
    ]


def answer(reviewing: Reviewing, event_id: str, **outcome: Any) -> bytes:
    return reviewing.encoder.encode({**OUTCOME, "event_id": event_id, "outcome": {**OUTCOME["outcome"], **outcome}})


def outcomes(reviewing: Reviewing) -> Iterator[tuple[str, bytes]]:
    """Outcomes of a few events in turn, for ever."""
    for number in itertools.cycle(range(EVENTS)):
        yield f"key-{number}", answer(reviewing, f"event-{number}")


def offset_of(evidence: list[dict[str, str]]) -> int:
    (place,) = (found["value"] for found in evidence if found["name"] == "outcome")
    return int(place.rpartition("/")[2])
