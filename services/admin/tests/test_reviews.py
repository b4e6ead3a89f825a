"""Reviews on the command line: what waits, what is shown of it, and the outcomes that answer it."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from headgate_admin.main import make_app
from headgate_admin.reviews import cli
from headgate_admin.reviews.cli import Connections
from headgate_admin.reviews.display import lines, readable, without_personal
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.testing import MemoryBroker, MemoryProducer, MemoryRegistry
from headgate_schemas import Contracts
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.records import Record

CONTRACTS = Contracts.load()
REVIEWS, OUTCOMES = CONTRACTS.topic("decision-reviews"), CONTRACTS.topic("review-outcomes")
ASKED, ANSWERED = CONTRACTS.record(REVIEWS.record), CONTRACTS.record(OUTCOMES.record)
EXAMPLES = CONTRACTS.examples(ASKED.name)
FLAGGED, ATTEMPTED = EXAMPLES["model_unsure"], EXAMPLES["rules_unsure"]
TRACE = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


class Desk:
    """The command line at a broker in memory with reviews in it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.registry = MemoryRegistry()
        for topic, record in ((REVIEWS, ASKED), (OUTCOMES, ANSWERED)):
            self.broker.create_topic(topic.topic, 2)
            self.registry.register(topic.subject, record.text)
        self.asking = Encoder(self.registry, REVIEWS.subject, ASKED)
        self.asked: list[tuple[str, int | None]] = []

    def connect(self, _: object) -> Connections:
        return Connections(self.registry, self.read, MemoryProducer(self.broker))

    def read(self, topic: str, count: int | None, take: Callable[[Record], None]) -> None:
        self.asked.append((topic, count))
        self.broker.read_range(dict.fromkeys(self.broker.partitions(topic), 0), take)

    def ask(self, event_id: str, value: dict[str, Any] = FLAGGED, **review: Any) -> None:
        full = {**value, "event_id": event_id, "review": value["review"] | review}
        key = full["payload"]["attributes"]["user_id"].encode()
        self.broker.append(OutgoingRecord(REVIEWS.topic, key, self.asking.encode(full), (TRACE,)))

    def __call__(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(make_app(), ["review", *arguments, "--json"])
        return result.exit_code, json.loads(result.stdout)

    def waiting(self, *arguments: str) -> list[str]:
        code, document = self("list", *arguments)
        assert code == 0
        return [review["event_id"] for review in document["reviews"]]

    def outcomes(self) -> list[tuple[Record, dict[str, Any]]]:
        decoder = Decoder(self.registry, ANSWERED)
        return [(record, decoder.decode(record.value)) for record in self.broker.records(OUTCOMES.topic)]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Desk:
    desk = Desk()
    monkeypatch.setattr(cli, "connect", desk.connect)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADGATE_ADMIN_REVIEWER", raising=False)
    return desk


APPROVE = ("--comment", "As this morning.", "--reviewer", "r-7")
OVERRIDE = ("--decision", "allow", *APPROVE)


def test_what_waits_is_listed_with_why_and_what_was_decided(desk: Desk) -> None:
    desk.ask("a")
    desk.ask("b", ATTEMPTED, reason="high_value")
    code, document = desk("list")
    assert (code, document["pending"], document["answered"]) == (0, 2, 0)
    assert document["reviews"][0] == {
        "event_id": "a",
        "requested_at": FLAGGED["review"]["requested_at"],
        "review_reason": "uncertain",
        "decision": "flag_high_risk",
        "tier": "model",
        "risk_score": 0.81,
        "confidence": 0.77,
        "decision_reason": FLAGGED["agent_metadata"]["decision_reason"],
    }
    assert desk.waiting("--reason", "high_value") == ["b"]
    assert desk.waiting("--limit", "1") == ["a"]
    assert desk.asked[:2] == [("decision-reviews", 10_000), ("review-outcomes", None)]


def test_a_person_sees_a_table(desk: Desk) -> None:
    desk.ask("a")
    result = CliRunner().invoke(make_app(), ["review", "list"])
    assert "1 wait for a person" in result.stdout
    assert "uncertain" in result.stdout


def test_an_answer_is_the_review_as_it_was_with_who_when_and_why(desk: Desk) -> None:
    desk.ask("a")
    code, document = desk("override", "a", "--priority", "low", *OVERRIDE)
    ((record, value),) = desk.outcomes()
    outcome = value.pop("outcome")
    assert value == {**FLAGGED, "event_id": "a"}
    assert outcome.pop("decided_at") > FLAGGED["review"]["requested_at"]
    assert outcome == {
        "action": "override",
        "decision": "allow",
        "comment": "As this morning.",
        "priority": "low",
        "reviewer": "r-7",
    }
    assert record.key == FLAGGED["payload"]["attributes"]["user_id"].encode()
    assert record.headers == (TRACE,)
    assert (code, [each["event_id"] for each in document["answered"]]) == (0, ["a"])
    assert desk.waiting() == []


def test_several_are_approved_at_once_with_their_own_decisions(desk: Desk) -> None:
    desk.ask("a")
    desk.ask("b", {**FLAGGED, "agent_metadata": FLAGGED["agent_metadata"] | {"decision": "allow"}})
    desk.ask("c")
    assert desk("approve", "a", "b", "a", *APPROVE)[0] == 0
    answers = {value["event_id"]: value["outcome"] for _, value in desk.outcomes()}
    assert {event: (each["action"], each["decision"]) for event, each in answers.items()} == {
        "a": ("approve", "flag_high_risk"),
        "b": ("approve", "allow"),
    }
    assert desk.waiting() == ["c"]


def test_what_is_answered_is_answered_again_only_on_request(desk: Desk) -> None:
    desk.ask("a")
    assert desk("approve", "a", *APPROVE)[0] == 0
    code, document = desk("override", "a", *OVERRIDE)
    assert (code, "--again adds another revision" in document["errors"][0]) == (1, True)
    assert desk("override", "a", "--again", *OVERRIDE)[0] == 0
    assert [value["outcome"]["action"] for _, value in desk.outcomes()] == ["approve", "override"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("approve", "a", "nobody", *APPROVE), 1, "no review of event nobody"),
        (("approve", "a", "--comment", "Fine."), 2, "Say who decides: --reviewer"),
        (("approve", "a", "--comment", "", "--reviewer", "r-7"), 1, "comment_present"),
        (("override", "a", "--decision", "alow", *APPROVE), 1, "decision_known"),
        (("override", "a", "--priority", "urgent", *OVERRIDE), 1, "priority_known"),
    ],
)
def test_an_answer_that_would_be_refused_is_not_sent(
    desk: Desk, arguments: tuple[str, ...], code: int, told: str
) -> None:
    desk.ask("a")
    found, document = desk(*arguments)
    assert (found, told in document["errors"][0]) == (code, True)
    assert desk.outcomes() == []


def test_who_decides_may_come_from_the_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_ADMIN_REVIEWER", "r-8")
    desk.ask("a")
    assert desk("approve", "a", "--comment", "Fine.")[0] == 0
    assert [value["outcome"]["reviewer"] for _, value in desk.outcomes()] == ["r-8"]


def test_a_review_is_shown_without_the_person_unless_asked_for(desk: Desk) -> None:
    desk.ask("a")
    person = FLAGGED["payload"]["attributes"]["user_id"]
    code, document = desk("show", "a")
    attributes = document["review"]["payload"]["attributes"]
    assert (code, document["state"]) == (0, "waits for a person")
    assert person not in json.dumps(document)
    assert attributes["merchant"] == FLAGGED["payload"]["attributes"]["merchant"]
    assert document["review"]["agent_metadata"]["evidence"] == FLAGGED["agent_metadata"]["evidence"]
    _, document = desk("show", "a", "--personal")
    assert document["review"]["payload"]["attributes"]["user_id"] == person


def test_records_that_cannot_be_read_are_left_out_and_counted(desk: Desk) -> None:
    desk.ask("a")
    desk.broker.append(OutgoingRecord(REVIEWS.topic, b"k", b"nonsense"))
    result = CliRunner().invoke(make_app(), ["review", "list", "--json"])
    assert json.loads(result.stdout)["pending"] == 1
    assert "1 records cannot be read" in result.stderr


def test_text_from_outside_does_not_command_the_terminal() -> None:
    assert readable("a\x1b[2J\n\x9bm") == "a\N{REPLACEMENT CHARACTER}[2J" + "\N{REPLACEMENT CHARACTER}" * 2 + "m"
    assert len(readable("x" * 999)) == 300


def test_a_value_is_told_line_by_line() -> None:
    assert list(lines({"a": {"b": 1, "c": None}, "d": [{"source": "rule", "name": "n"}, "x"]})) == [
        ("a.b", "1"),
        ("d", "rule n"),
        ("d", "x"),
    ]


def test_hiding_who_it_is_leaves_the_value_itself_alone() -> None:
    before = copy.deepcopy(FLAGGED)
    hidden = without_personal(
        FLAGGED, {"payload.attributes.user_id": "direct", "no.such": "direct", "event_id": "quasi"}
    )
    assert before == FLAGGED
    assert hidden["payload"]["attributes"]["user_id"] == "(personal)"
    assert hidden["event_id"] == FLAGGED["event_id"]


def test_hiding_who_it_is_reaches_into_lists_and_mappings() -> None:
    value = {"friends": [{"name": "Ada", "since": 1}, {"name": None}], "phones": {"home": "555-01"}, "other": None}
    assert without_personal(value, {"friends[].name": "direct", "phones{}": "direct", "other[].name": "direct"}) == {
        "friends": [{"name": "(personal)", "since": 1}, {"name": None}],
        "phones": {"home": "(personal)"},
        "other": None,
    }
