"""The summary of what shadow agents decide beside what holds."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from headgate_admin.agent import divergence
from headgate_admin.main import make_app
from headgate_runtime.avro import Encoder
from headgate_runtime.records import OutgoingRecord
from headgate_runtime.testing import MemoryBroker, MemoryRegistry
from headgate_schemas import Contracts
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.records import Record

CONTRACTS = Contracts.load()
TOPIC = CONTRACTS.topic("decision-divergences")
RECORD = CONTRACTS.record(TOPIC.record)
LAXER = CONTRACTS.examples(RECORD.name)["model_laxer"]


class Divergences:
    """A topic of divergences, and the command at it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic(TOPIC.topic, 2)
        self.registry = MemoryRegistry()
        self.registry.register(TOPIC.subject, RECORD.text)
        self.encoder = Encoder(self.registry, TOPIC.subject, RECORD)
        self.asked: list[int | None] = []

    def connect(self, _: object) -> Any:
        return self.registry, self.read

    def read(self, topic: str, count: int | None, take: Callable[[Record], None]) -> None:
        self.asked.append(count)
        self.broker.read_range(dict.fromkeys(self.broker.partitions(topic), 0), take)

    def add(self, holding: str, shadow: str, difference: float = 0.0, **fields: Any) -> None:
        value = copy.deepcopy(LAXER) | {"diverged": holding != shadow, "risk_score_difference": difference}
        value["holding"] |= {"decision": holding, "cost_microdollars": 10}
        value["shadow"] |= {"decision": shadow, "cost_microdollars": 3} | fields
        self.broker.append(OutgoingRecord(TOPIC.topic, None, self.encoder.encode(value)))


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Divergences:
    topic = Divergences()
    monkeypatch.setattr(divergence, "connect", topic.connect)
    monkeypatch.chdir(tmp_path)
    return topic


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(make_app(), ["agent", "divergence", *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in arguments else result.stdout


def test_each_version_of_a_shadow_is_held_against_what_holds(topic: Divergences) -> None:
    for _ in range(3):
        topic.add("allow", "allow", 0.1)
    topic.add("flag_high_risk", "allow", -0.7)
    topic.add("allow", "flag_high_risk", 0.4, tier="fallback", fallback_reason="throttled")
    topic.add("allow", "allow", agent="risk_next", agent_version="other")
    first, second = run("--json")["shadows"]
    assert first == {
        "agent": "risk",
        "agent_version": LAXER["shadow"]["agent_version"],
        "compared": 5,
        "diverged": 2,
        "rate": 0.4,
        "mean_risk_score_difference": pytest.approx(0.0),
        "holding_cost_microdollars": 50,
        "shadow_cost_microdollars": 15,
        "shadow_fallbacks": {"throttled": 1},
        "decisions": {"allow": {"allow": 3, "flag_high_risk": 1}, "flag_high_risk": {"allow": 1}},
    }
    assert (second["agent"], second["agent_version"], second["compared"]) == ("risk_next", "other", 1)


def test_one_agent_and_the_newest_records_can_be_asked_for(topic: Divergences) -> None:
    topic.add("allow", "allow")
    topic.add("allow", "allow", agent="risk_next")
    (shown,) = run("--agent", "risk_next", "--newest", "7", "--json")["shadows"]
    assert (shown["agent"], topic.asked) == ("risk_next", [7])


def test_people_get_the_matrix_as_a_table_and_are_told_what_cannot_be_read(topic: Divergences) -> None:
    topic.add("flag_high_risk", "allow", -0.25)
    topic.broker.append(OutgoingRecord(TOPIC.topic, None, b"poison"))
    text = run()
    whole = "1 of 1 decisions diverge (100.00%), risk score -0.250 on average, $0.000003 where $0.000010 was paid"
    for shown in ("flag_high_risk", "100.00%", whole, "1 records cannot be read"):
        assert shown in text


def test_an_empty_topic_is_no_error(topic: Divergences) -> None:
    assert topic.broker.records(TOPIC.topic) == []
    assert run("--json") == {"shadows": [], "unreadable": 0}
    assert run() == "no decisions compared\n"
