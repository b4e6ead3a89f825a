"""Which agent decides: the table, what is wrong with one, and micro-batches of several agents."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

import pytest
from headgate_enricher.config import Settings
from headgate_enricher.intake import Intake, RefusedError, RoutedIntake
from headgate_enricher.judge import Judge
from headgate_enricher.progress import PartitionProgress
from headgate_enricher.routing import ANY, Decider, Routing, check_table
from headgate_enricher.work import AgentFaultError, Answer, Partition, Work
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.records import Record, TopicPartition
from headgate_runtime.state import PartitionState, Spill
from headgate_schemas import Contracts
from headgate_schemas.agent import Decision, Event, GreyCase, Memory
from pydantic import ValidationError

from .deciders import sole

if TYPE_CHECKING:
    from collections.abc import Sequence

RAW = Contracts.load().topic("raw-events")
BOTH = {"risk": ["transaction"], "session": ["login", "page_view"]}


class Plain:
    """Decides everything in its own name; its memory is the kinds it has seen."""

    version = "1"

    def __init__(self, name: str, *, forgets: str = "", breaks_on: str = "", remembers: bool = True) -> None:
        self.name = name
        self.forgets = forgets
        self.breaks_on = breaks_on
        self.remembers = remembers
        self.batches: list[list[str]] = []

    def remember(self, memory: Memory | None, event: Event) -> Memory | None:
        if event["kind"] == self.forgets:
            raise LookupError(self.forgets)
        return {"kinds": [*(memory["kinds"] if memory else []), event["kind"]]} if self.remembers else memory

    def triage(self, events: Sequence[Event], memories: Sequence[Memory | None]) -> Sequence[Decision | GreyCase]:
        kinds = [event["kind"] for event in events]
        if self.breaks_on in kinds:
            raise ValueError(self.breaks_on)
        self.batches.append(kinds)
        seen = [",".join(memory["kinds"]) if memory else "" for memory in memories]
        return [Decision(self.name, known, 0.0, "low", 1.0, "rules") for known in seen]

    async def deliberate(self, case: GreyCase) -> Decision:
        raise NotImplementedError

    def fall_back(self, case: GreyCase, reason: str) -> Decision:
        return Decision(self.name, str(case.event), 0.0, "low", 0.5, "fallback", fallback_reason=reason)


class JsonCodec:
    def dump(self, state: Memory) -> bytes:
        return json.dumps(state).encode()

    def load(self, value: bytes) -> Memory:
        return cast("Memory", json.loads(value))


class Batch:
    """Two agents, ``buyer`` for payments and ``guest`` for all else, on one partition."""

    def __init__(self, buyer: Plain, guest: Plain) -> None:
        self.routing = Routing({"pay": Decider(buyer, 0), ANY: Decider(guest, 1)}, "kind")
        memories = tuple(PartitionState(JsonCodec(), Spill(None, "in-0"), 10) for _ in range(2))
        self.partition = Partition(TopicPartition("in", 0), PartitionProgress(), memories)

    def triage(self, *kinds: str) -> list[Work]:
        works = []
        for number, kind in enumerate(kinds):
            decider = self.routing.decider_of({"kind": kind})
            assert decider is not None
            record = Record("in", 0, number, 0, b"key", b"v")
            works.append(Work(self.partition, record, {"kind": kind}, 5.0, decider))
        Judge(self.routing.deciders).triage(works)
        return works

    def remembered(self) -> list[list[str] | None]:
        memories = [states.get(b"key") for states in self.partition.memories]
        return [memory and memory["kinds"] for memory in memories]


def outcomes(works: Sequence[Work]) -> list[str]:
    return [work.triaged.decision if isinstance(work.triaged, Decision) else "fault" for work in works]


def test_each_event_is_decided_by_the_agent_its_type_belongs_to_in_one_run_an_agent() -> None:
    buyer, guest = Plain("buyer"), Plain("guest")
    works = Batch(buyer, guest).triage("look", "pay", "look", "log in", "pay")
    assert outcomes(works) == ["guest", "buyer", "guest", "guest", "buyer"]
    assert (buyer.batches, guest.batches) == ([["pay", "pay"]], [["look", "look", "log in"]])


def test_every_agent_remembers_every_event_and_is_told_only_what_it_remembers_itself() -> None:
    batch = Batch(Plain("buyer"), Plain("guest", forgets="pay"))
    works = batch.triage("look", "pay", "look")
    seen = [work.triaged.decision_reason for work in works if isinstance(work.triaged, Decision)]
    assert seen == ["", "look", "look"]
    assert batch.remembered() == [["look", "pay", "look"], ["look", "look"]]


def test_what_another_agent_cannot_remember_is_decided_all_the_same() -> None:
    batch = Batch(Plain("buyer", forgets="look"), Plain("guest"))
    assert outcomes(batch.triage("pay", "look", "pay")) == ["buyer", "guest", "buyer"]
    assert batch.remembered() == [["pay", "pay"], ["pay", "look", "pay"]]


def test_what_the_deciding_agent_cannot_remember_is_at_fault_and_the_others_remember_it() -> None:
    batch = Batch(Plain("buyer"), Plain("guest", forgets="look"))
    assert outcomes(batch.triage("pay", "look", "pay")) == ["buyer", "fault", "buyer"]
    assert batch.remembered() == [["pay", "look", "pay"], ["pay", "pay"]]


def test_an_agent_that_does_not_care_changes_no_memory() -> None:
    batch = Batch(Plain("buyer"), Plain("guest", remembers=False))
    works = batch.triage("look", "pay")
    assert [len(work.changes) for work in works] == [1, 1]
    assert batch.remembered() == [["look", "pay"], None]


def test_an_agent_that_fails_costs_its_own_events_alone() -> None:
    works = Batch(Plain("buyer", breaks_on="pay"), Plain("guest")).triage("look", "pay", "look")
    assert outcomes(works) == ["guest", "fault", "guest"]
    assert isinstance(works[1].triaged, AgentFaultError)


def test_the_fallback_is_that_of_the_agent_that_was_asked() -> None:
    batch = Batch(Plain("buyer"), Plain("guest"))
    works = batch.triage("look", "pay")
    case = GreyCase({}, {}, Decision("allow", "", 0.0, "low", 1.0, "rules"))
    judge = Judge(batch.routing.deciders)
    concluded = [judge.conclude(work, case, Answer(None, "deadline", seconds=1.0)).decision for work in works]
    assert concluded == ["guest", "buyer"]


class Decoder:
    def decode(self, value: bytes | None) -> dict[str, Any]:
        return {"kind": (value or b"").decode() or None}


def accept(routing: Routing, value: bytes) -> str:
    return RoutedIntake(Intake(Decoder(), lambda _: None), routing).accept(Record("in", 0, 0, 0, b"k", value))[1].name


def test_an_event_of_a_type_nobody_takes_is_refused_and_says_which_field_to_look_at() -> None:
    routing = Routing({"pay": Decider(Plain("buyer"), 0), "look": Decider(Plain("guest"), 1)}, "kind")
    assert (accept(routing, b"pay"), accept(routing, b"look")) == ("buyer", "guest")
    for kind in (b"sell", b""):
        with pytest.raises(RefusedError, match="No agent takes events of this type") as refused:
            accept(routing, kind)
        assert (refused.value.cause, refused.value.field) == ("no_agent", "kind")


def test_one_agent_for_everything_needs_no_type() -> None:
    routing = sole(Plain("one"))
    assert routing.only is routing.deciders[0]
    assert accept(routing, b"") == "one"
    again = Decider(Plain("one"), 0)
    assert Routing({"pay": again, ANY: again}, "kind").only is again


def test_one_agent_for_some_types_is_not_one_for_everything() -> None:
    routing = Routing({"pay": Decider(Plain("buyer"), 0)}, "kind")
    assert routing.only is None
    assert routing.types_of(routing.deciders[0]) == ["pay"]


def settings(table: object, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HEADGATE_ENRICHER_AGENTS", json.dumps(table))
    return Settings()


def test_the_table_is_read_from_the_environment_and_is_one_agent_without(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().agents == {"risk": (ANY,)}
    assert settings(BOTH, monkeypatch).agents == {"risk": ("transaction",), "session": ("login", "page_view")}


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"risk": ["login"], "session": ["login"]}, "event types login are named twice"),
        ({"risk": ["*"], "session": ["*"]}, r"event types \* are named twice"),
        ({"risk": []}, "at least 1 item"),
        ({}, "at least 1 item"),
        ({"risk": [""]}, "at least 1 character"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(
    table: object, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValidationError, match=problem):
        settings(table, monkeypatch)


@pytest.mark.parametrize("table", [BOTH, {"risk": ["*"]}, {"risk": ["*"], "session": ["login"]}])
def test_a_table_that_takes_every_type_of_the_contract_is_good(table: dict[str, list[str]]) -> None:
    check_table(table, RAW)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"risk": ["transaction", "login"]}, "sends events of type page_view to no agent"),
        ({"risk": ["transacton"], "session": ["*"]}, "names types there are not: transacton; raw-events has the types"),
    ],
)
def test_a_table_that_does_not_fit_the_contract_stops_the_start(table: dict[str, list[str]], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        check_table(table, RAW)


def test_without_a_type_field_there_is_one_agent_for_everything_or_none() -> None:
    typeless = RAW.model_copy(update={"fields": RAW.fields.model_copy(update={"type": None})})
    check_table({"risk": ["*"]}, typeless)
    with pytest.raises(ConfigurationError, match=r"add fields\.type to raw-events\.yaml"):
        check_table(BOTH, typeless)


def test_types_the_contract_does_not_list_are_not_asked_for_at_the_start() -> None:
    unlisted = RAW.model_copy(update={"rules": ()})
    check_table({"risk": ["anything"]}, unlisted)
