"""The gate: the golden set, the rules' consistency, and a version that changes when a decision could."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from importlib.metadata import entry_points
from typing import Any

import pytest
from headgate_agent_session import create_agent
from headgate_agent_session.context import SessionContext, load_context
from headgate_agent_session.evals import load_golden, surprises
from headgate_agent_session.policy import INTENTS
from headgate_agent_session.rules import Rule
from headgate_agent_session.standin import record_intent
from headgate_agent_session.triage import Triage
from headgate_schemas import Contracts, compile_rules


def test_the_golden_set_is_decided_as_it_should_be(context: Any) -> None:
    assert surprises(context, load_golden()) == []


def test_the_golden_set_is_large_and_varied() -> None:
    golden = load_golden()
    assert len(golden) >= 35
    assert len({case.name for case in golden}) == len(golden)
    assert {case.intent for case in golden} == set(INTENTS)
    assert sum(case.triage == "grey" for case in golden) >= 10


def test_golden_events_keep_to_the_contract() -> None:
    broken = compile_rules(Contracts.load().topic("raw-events"))
    assert [case.name for case in load_golden() for event in case.events() if broken(event)] == []


def test_a_lost_floor_is_noticed(context: Any) -> None:
    lenient = dataclasses.replace(
        context, rules=tuple(rule.model_copy(update={"floor": None}) for rule in context.rules)
    )
    assert any(line.startswith("scan:") for line in surprises(lenient, load_golden()))


def test_a_floor_the_score_would_lose_is_refused(context: Any) -> None:
    weak = Rule(
        name="weak", intent="probe", when={"events": {"at_least": 1}}, weight=0.1, floor="challenge", reason="r"
    )
    with pytest.raises(ValueError, match="rule weak has a floor"):
        Triage([weak], context.policy)


def test_a_rule_names_features_there_are() -> None:
    with pytest.raises(ValueError, match="rule odd: there is no feature mood"):
        Rule(name="odd", intent="probe", when={"mood": True}, weight=0.5, reason="r")


@pytest.mark.parametrize(
    "change",
    [
        {"model_id": "model-b"},
        {"rules": ()},
        {"code": "0" * 64},
        {"pii": (("payload.attributes.channel", "quasi"),)},
    ],
)
def test_the_version_changes_when_a_decision_could(context: SessionContext, change: dict[str, Any]) -> None:
    assert dataclasses.replace(context, **change).version != context.version
    stricter = context.policy.model_copy(update={"grey_from": 0.3})
    assert dataclasses.replace(context, policy=stricter).version != context.version


def test_the_version_is_the_same_in_another_process(context: SessionContext) -> None:
    program = "from headgate_agent_session.context import load_context; print(load_context('model-a').version)"
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, env={"PYTHONHASHSEED": "1"}, capture_output=True, text=True, check=True)  # noqa: S603 - fixed
    assert found.stdout.strip() == context.version


def test_agent_and_stand_in_are_found_by_their_names(agent_with: Any) -> None:
    (agent,) = entry_points(group="headgate.agents", name="session")
    assert agent.load() is create_agent
    (standin,) = entry_points(group="headgate.local_policies", name="record_intent")
    assert standin.load() is record_intent
    _, model = agent_with()
    built = create_agent(model, model_id="model-a")
    assert (built.name, built.version) == ("session", load_context("model-a").version)


def test_the_stand_in_needs_no_langgraph() -> None:
    program = "import sys, headgate_agent_session.standin\nsys.exit('langgraph' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - fixed
