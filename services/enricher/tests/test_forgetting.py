"""What agents remember of a key goes when it is asked for, committed with its partition, and nothing brings it back."""

from __future__ import annotations

from http import HTTPStatus
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from headgate_enricher.forgetting import Forgetting, forget_router
from headgate_enricher.lanes import Lanes
from headgate_enricher.progress import PartitionProgress
from headgate_enricher.work import Partition
from headgate_runtime.access import ControlAuth
from headgate_runtime.records import TopicPartition
from headgate_runtime.state import PartitionState, Spill
from headgate_runtime.testing import eventually

from .test_dispatcher import Surroundings

if TYPE_CHECKING:
    from headgate_schemas.agent import Memory

TOKEN = "t" * 32


class Plain:
    def dump(self, state: Memory) -> bytes:
        return repr(state).encode()

    def load(self, value: bytes) -> Memory:
        return {"read": value.decode()}


def partition_of(number: int) -> Partition:
    memories = PartitionState(Plain(), Spill(None, f"test-{number}"), 10)
    memories.put(b"ann", {"seen": 1})
    memories.put(b"bob", {"seen": 2})
    return Partition(TopicPartition("in", number), PartitionProgress(), (memories,), Lanes())


@pytest.fixture
def forgetting() -> Forgetting:
    return Forgetting()


def test_a_key_is_forgotten_once_its_removal_is_committed(forgetting: Forgetting) -> None:
    owned = [partition_of(0), partition_of(1)]
    answer = forgetting.ask(b"ann")
    assert forgetting.stage(owned)
    assert not answer.done(), "it is staged, and not committed"
    for partition in owned:
        (memories,) = partition.memories
        assert memories.changes() == [(b"ann", None)]
        assert memories.get(b"ann") is None
        assert memories.get(b"bob") == {"seen": 2}
        assert partition.progress.changed
    forgetting.committed(owned)
    assert answer.result(0) == [0, 1]
    assert not forgetting.stage(owned), "it was asked once"


def test_a_key_whose_event_is_at_the_model_waits_for_it(forgetting: Forgetting) -> None:
    owned = [partition_of(0)]
    owned[0].lanes.enter(b"ann", "event", slow=True)  # type: ignore[arg-type]  # the lane does not look
    answer = forgetting.ask(b"ann")
    assert not forgetting.stage(owned)
    assert owned[0].memories[0].get(b"ann") == {"seen": 1}
    owned[0].lanes.leave(b"ann")
    assert forgetting.stage(owned)
    forgetting.committed(owned)
    assert answer.result(0) == [0]


def test_a_partition_that_left_before_the_commit_is_not_among_the_answer(forgetting: Forgetting) -> None:
    owned = [partition_of(0), partition_of(1)]
    answer = forgetting.ask(b"ann")
    forgetting.stage(owned)
    forgetting.committed(owned[:1])
    assert answer.result(0) == [0]


def test_a_replica_without_partitions_says_so(forgetting: Forgetting) -> None:
    answer = forgetting.ask(b"ann")
    forgetting.stage([])
    assert answer.result(0) == []


def test_an_ask_that_was_taken_back_changes_nothing(forgetting: Forgetting) -> None:
    owned = [partition_of(0)]
    forgetting.ask(b"ann").cancel()
    assert not forgetting.stage(owned)
    assert owned[0].memories[0].get(b"ann") == {"seen": 1}


def test_the_dispatcher_commits_what_is_to_be_forgotten_at_once() -> None:
    world = Surroundings()
    answer = world.forgetting.ask(b"ann")
    world.pass_time(0.0)
    assert answer.result(0) == [0]
    assert [(record.key, record.value) for record in world.broker.records("memory")] == [(b"group/ann", None)]


def client(forgetting: Forgetting) -> TestClient:
    app = FastAPI()
    app.state.control_auth = ControlAuth(TOKEN)
    app.include_router(forget_router(forgetting, "in", ["group/agent"]))
    return TestClient(app)


def test_the_call_answers_where_the_key_is_forgotten(forgetting: Forgetting) -> None:
    owned = [partition_of(0), partition_of(1)]

    def loop() -> None:
        eventually(lambda: forgetting.stage(owned), 10)
        forgetting.committed(owned)

    thread = Thread(target=loop)
    thread.start()
    answer = client(forgetting).post(
        "/control/forget", json={"key": "ann"}, headers={"Authorization": f"Bearer {TOKEN}"}
    )
    thread.join(10)
    assert answer.status_code == HTTPStatus.OK
    assert answer.json() == {"topic": "in", "partitions": [0, 1], "namespaces": ["group/agent"]}


def test_the_call_refuses_who_has_no_token(forgetting: Forgetting) -> None:
    answer = client(forgetting).post("/control/forget", json={"key": "ann"})
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    assert not forgetting.stage([partition_of(0)])
