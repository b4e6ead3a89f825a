"""The version changes when a decision could, and only then."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest
from headgate_agent_risk import context as context_module
from headgate_agent_risk import create_agent
from headgate_agent_risk.context import RiskContext, load_context


def changed(context: RiskContext, part: str) -> RiskContext:
    first = context.rules[0]
    changes: dict[str, dict[str, Any]] = {
        "model": {"model_id": "model-b"},
        "weight of a rule": {"rules": (first.model_copy(update={"weight": 0.36}), *context.rules[1:])},
        "reason of a rule": {"rules": (first.model_copy(update={"reason": "other words"}), *context.rules[1:])},
        "set of rules": {"rules": context.rules[1:]},
        "threshold": {"policy": context.policy.model_copy(update={"grey_from": 0.34})},
        "bound of review": {
            "policy": context.policy.model_copy(
                update={"review": context.policy.review.model_copy(update={"uncertain_below": 0.71})}
            )
        },
        "list": {"policy": context.policy.model_copy(update={"high_risk_countries": frozenset({"KP"})})},
        "code": {"code": "0" * 64},
        "allow-list": {"policy": context.policy.model_copy(update={"tools": context.policy.tools[:1]})},
        "reference data": {
            "reference": context.reference.model_copy(
                update={"peers": context.reference.peers.model_copy(update={"orders": 1})}
            )
        },
        "tags": {"pii": (*context.pii, ("payload.attributes.channel", "quasi"))},
    }
    return dataclasses.replace(context, **changes[part])


@pytest.mark.parametrize(
    "part",
    [
        "model",
        "weight of a rule",
        "reason of a rule",
        "set of rules",
        "threshold",
        "bound of review",
        "list",
        "code",
        "allow-list",
        "reference data",
        "tags",
    ],
)
def test_version_changes_with(context: RiskContext, part: str) -> None:
    assert changed(context, part).version != context.version


@pytest.mark.parametrize("name", ["system_prompt", "tool_schema"])
def test_version_changes_with_prompt_and_tool(context: RiskContext, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = context.version
    monkeypatch.setattr(context_module, name, lambda *_: "other")
    assert context.version != before


def test_version_is_the_same_in_another_process_with_another_hash_seed(context: RiskContext) -> None:
    program = "from headgate_agent_risk.context import load_context; print(load_context('model-a').version)"
    for seed in ("1", "2"):
        command = [sys.executable, "-c", program]
        found = subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)  # noqa: S603 - fixed
        assert found.stdout.strip() == context.version


def test_agent_carries_name_and_version(scripted: Any) -> None:
    agent = create_agent(scripted(), model_id="model-a")
    assert agent.name == "risk"
    assert agent.version == load_context("model-a").version
    assert len(agent.version) == 12
    assert create_agent(scripted(), model_id="model-b").version != agent.version
