"""The gate: figures, bounds, and what is said of what was measured."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from headgate_agent_risk.evals import cli
from headgate_agent_risk.evals.cases import Bound, load_bounds, load_golden
from headgate_agent_risk.evals.measure import Evaluation, Outcome, rates
from headgate_schemas import Contracts, compile_rules
from headgate_schemas.agent import Decision
from typer.testing import CliRunner

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

QUICK = ["--only", "risk", "--events", "5000"]


def outcome(decision: str, *, bad: bool, tier: Any = "rules") -> Outcome:
    return Outcome(bad, "label", Decision(decision, "", 0.5, "low", 1.0, tier))


def test_golden_set_is_large_and_varied() -> None:
    golden = load_golden()
    assert len(golden) >= 60
    assert len({case.name for case in golden}) == len(golden)
    assert {case.event["event_type"] for case in golden} == {"transaction", "login", "page_view"}
    injected = {
        name for case in golden for name in ("note", "merchant", "page") if case.name.startswith(f"injection_{name}")
    }
    assert injected == {"note", "merchant", "page"}


def test_golden_events_keep_to_the_contract() -> None:
    broken = compile_rules(Contracts.load().topic("raw-events"))
    assert [case.name for case in load_golden() if broken(case.event)] == []


def test_rates_are_by_tier_and_left_out_without_a_base() -> None:
    flagged, allowed = "flag_high_risk", "allow"
    figures = rates(
        "x",
        [outcome(flagged, bad=True), outcome(flagged, bad=False), outcome(allowed, bad=True, tier="fallback")],
    )
    assert figures == {
        "x_all_events": 3,
        "x_all_precision": 0.5,
        "x_all_recall": 0.5,
        "x_rules_events": 2,
        "x_rules_precision": 0.5,
        "x_rules_recall": 1.0,
        "x_fallback_events": 1,
        "x_fallback_recall": 0.0,
    }


def test_the_packaged_agent_passes_its_gate(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, [*QUICK, "--root", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "no model asked" in result.output
    report = json.loads((tmp_path / "build" / "eval" / "risk.json").read_text())
    assert {"kind", "name", "figures", "commit", "machine", "at", "details"} == report.keys()
    assert all(isinstance(value, int | float) for value in report["figures"].values())
    assert report["details"]["model_id"] is None
    assert 0.8 < report["figures"]["rules_only_f1"] <= 1
    assert report["figures"]["golden_below_floor"] == 0


def test_missed_bound_fails_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        cli, "load_bounds", lambda: {"risk": {"golden_cases": Bound(at_least=10_000), "not_measured": Bound(at_most=1)}}
    )
    result = CliRunner().invoke(cli.app, [*QUICK, "--json", "--root", str(tmp_path)])
    assert result.exit_code == 1
    assert "missed: golden_cases, not_measured" in result.output
    assert json.loads(result.stdout)["missed"] == ["golden_cases", "not_measured"]


def test_lost_floor_is_noticed(context: Any) -> None:
    lenient = dataclasses.replace(
        context, rules=tuple(rule.model_copy(update={"floor": None}) for rule in context.rules)
    )
    figures, surprises = Evaluation(lenient).golden(load_golden())
    assert figures["golden_below_floor"] > 0
    assert any("injection_note_ignore" in line for line in surprises)
    assert not load_bounds()["risk"]["golden_below_floor"].holds(figures["golden_below_floor"])


def test_the_command_is_contributed_as_eval() -> None:
    (found,) = [point for point in entry_points(group="headgate.commands", name="eval") if "risk" in point.value]
    assert found.load() is cli.app


def test_generating_needs_no_langgraph() -> None:
    program = (
        "import sys, headgate_agent_risk.generator, headgate_agent_risk.standin\n"
        "sys.exit('langgraph' in sys.modules or 'langchain_core' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - fixed
