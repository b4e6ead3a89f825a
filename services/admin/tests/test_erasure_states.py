"""A person's keys in compacted topics: who may take them away, and what is told where nobody has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from headgate_admin.erasure import cli, states
from headgate_admin.erasure.report import SEGMENT_MS, fading_topics
from headgate_admin.erasure.states import Forgotten, KeyMatch, ask, bury, uncovered
from headgate_admin.erasure.subject import Subject
from headgate_admin.personal.places import personal_topics
from headgate_runtime.errors import RejectedError, UnavailableError
from headgate_runtime.kafka.admin import TopicInfo
from headgate_schemas import Contracts
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Collection

CONTRACTS = Contracts.load()
MEMORY = CONTRACTS.topic("enricher-memory")
ANN = Subject("ann")
TOKEN = "t" * 32


class MemoryLog:
    """Compacted topics in memory."""

    def __init__(self, *keys: tuple[int, bytes], members: dict[str, int] | None = None) -> None:
        self.keys = set(keys)
        self.groups = members or {}
        self.buried: set[tuple[int, bytes]] = set()

    def partitions(self, topic: str) -> int:
        assert topic
        return 2

    def live(self, topic: str, partitions: int, wanted: KeyMatch) -> set[tuple[int, bytes]]:
        assert (topic, partitions) == (MEMORY.topic, 2)
        return {place for place in self.keys if wanted(place[1])}

    def members(self, group: str) -> int:
        return self.groups.get(group, 0)

    def bury(self, topic: str, keys: Collection[tuple[int, bytes]]) -> None:
        assert topic == MEMORY.topic
        self.buried |= set(keys)
        self.keys -= set(keys)


@pytest.mark.parametrize(
    ("key", "is_anns"),
    [
        (b"enricher/risk/ann", True),
        (b"enricher/risk/x/ann", False),
        (b"enricher/risk/anna", False),
        (b"enricher/ann", False),
        (b"ann", False),
    ],
)
def test_a_key_is_the_persons_where_exactly_the_contracts_parts_stand_before(key: bytes, is_anns: bool) -> None:  # noqa: FBT001
    assert KeyMatch(b"ann", 2)(key) is is_anns


def test_a_person_whose_id_has_slashes_is_found() -> None:
    assert KeyMatch(b"x/ann", 2)(b"enricher/risk/x/ann")
    assert KeyMatch(b"x/ann", 2).namespace(b"enricher/risk/x/ann") == "enricher/risk"


def test_keys_of_groups_that_do_not_run_get_tombstones() -> None:
    log = MemoryLog((0, b"old/risk/ann"), (1, b"old/risk/bob"))
    done = bury(log, MEMORY, ANN, 1, [])
    assert (done.found, done.buried, done.left, done.problems) == (1, 1, 0, [])
    assert log.buried == {(0, b"old/risk/ann")}


def test_a_group_that_runs_and_was_not_asked_is_named_and_left_alone() -> None:
    log = MemoryLog((0, b"enricher/risk/ann"), members={"enricher": 2})
    done = bury(log, MEMORY, ANN, 1, [])
    assert (done.buried, done.left) == (0, 1)
    assert "name each replica" in done.problems[0]


def test_a_memory_that_came_back_after_it_was_forgotten_is_told() -> None:
    log = MemoryLog((0, b"enricher/risk/ann"), members={"enricher": 2})
    done = bury(log, MEMORY, ANN, 1, [Forgotten("raw-events", frozenset({0, 1}), frozenset({"enricher/risk"}))])
    assert done.left == 1
    assert "new event" in done.problems[0]


def test_what_the_owner_forgot_is_counted_as_such() -> None:
    done = bury(MemoryLog(members={"enricher": 1}), MEMORY, ANN, 3, [])
    assert (done.found, done.forgotten, done.left, done.problems) == (3, 3, 0, [])


def test_partitions_that_no_asked_replica_owns_are_told() -> None:
    one = Forgotten("raw-events", frozenset({0}), frozenset({"enricher/risk"}))
    assert "raw-events/[1]" in uncovered(MemoryLog(), [one])[0]
    assert uncovered(MemoryLog(), [one, one._replace(partitions=frozenset({1}))]) == []


def answering(monkeypatch: pytest.MonkeyPatch, *answers: httpx.Response | httpx.HTTPError) -> list[str]:
    asked, left = [], list(answers)

    def post(url: str, **_: object) -> httpx.Response:
        asked.append(url)
        answer = left.pop(0)
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return answer

    monkeypatch.setattr(states.httpx, "post", post)
    return asked


def test_every_replica_is_asked_and_one_that_owns_nothing_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"topic": "raw-events", "partitions": [0, 1], "namespaces": ["enricher/risk"]}
    asked = answering(monkeypatch, httpx.Response(409), httpx.Response(200, json=said))
    answers = ask(["http://a/", "http://b"], TOKEN, ANN)
    assert asked == ["http://a/control/forget", "http://b/control/forget"]
    assert answers == [Forgotten("raw-events", frozenset({0, 1}), frozenset({"enricher/risk"}))]


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (httpx.ConnectError("refused"), UnavailableError),
        (httpx.Response(503, text="not committed"), UnavailableError),
        (httpx.Response(403, text="not the token"), RejectedError),
    ],
)
def test_a_replica_that_does_not_forget_breaks_the_erasure_off(
    answer: httpx.Response | httpx.HTTPError, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, answer)
    with pytest.raises(raised, match="http://a"):
        ask(["http://a"], TOKEN, ANN)


def test_topics_that_age_out_are_told_with_the_brokers_own_times() -> None:
    known = {
        "raw-events": TopicInfo("1", 4, 1, {"retention.ms": "1000", "segment.ms": "50"}),
        "enriched-events": TopicInfo("2", 4, 1, {"retention.ms": "-1"}),
        "decision-reviews": TopicInfo("3", 4, 1, {}),
    }
    found = {topic.topic: topic.gone_ms for topic in fading_topics(personal_topics(CONTRACTS), known, 10)}
    contract = CONTRACTS.topic("decision-reviews")
    assert found == {
        "raw-events": 1060,
        "enriched-events": None,
        "decision-reviews": 10 + contract.retention_ms + SEGMENT_MS,
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--user", "ann", "--yes"], "Say who erases"),
        (["--user", "", "--by", "o-7", "--yes"], "--user is empty"),
        (["--user", "ann", "--by", "o-7", "--json"], "--yes"),
    ],
)
def test_an_erasure_wants_a_person_an_operator_and_a_yes(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADGATE_ADMIN_OPERATOR", raising=False)
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 2
    assert told in done.stderr
