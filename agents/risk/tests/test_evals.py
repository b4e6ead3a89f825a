"""The gate: figures, bounds, and what is said of what was measured."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
from headgate_agent_risk.evals import approval, cli
from headgate_agent_risk.evals.approval import approved_version, current_version
from headgate_agent_risk.evals.asking import CallTimes, deliberate_all
from headgate_agent_risk.evals.cases import Bound, load_bounds, load_golden
from headgate_agent_risk.evals.measure import Evaluation, Outcome, latency, rates
from headgate_agent_risk.evals.plot import Side, curve, draw
from headgate_schemas import Contracts, compile_rules
from headgate_schemas.agent import Decision
from typer.testing import CliRunner

if TYPE_CHECKING:
    from pathlib import Path

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


def test_the_evaluation_is_offered_under_the_agents_name() -> None:
    (found,) = entry_points(group="headgate.agent_evaluations", name="risk")
    assert found.load() is cli.app


def test_the_agent_is_the_one_that_passed_its_evaluation() -> None:
    assert approved_version() == current_version(), (
        "prompts, tools, rules, policy, data or code have changed: run `make eval ACCEPT=1`, look at the figures, and "
        "commit evals/approved.json"
    )


@pytest.mark.parametrize("options", [["--accept"], ["--accept", "--endpoint", "http://127.0.0.1:9", "--only", "risk"]])
def test_a_version_is_accepted_on_all_figures_only(tmp_path: Path, options: list[str]) -> None:
    result = CliRunner().invoke(cli.app, [*options, "--root", str(tmp_path)])
    assert result.exit_code == 2
    assert "all figures" in result.output


@pytest.mark.parametrize(("bound", "accepted"), [(Bound(at_least=60), True), (Bound(at_least=10_000), False)])
def test_a_version_is_pinned_where_every_figure_keeps_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: Bound, *, accepted: bool
) -> None:
    measured = cli.Measured({"golden_cases": 80, "unbounded": 1}, [])
    monkeypatch.setattr(cli, "_model", lambda *_: None)
    monkeypatch.setattr(cli, "_measured", lambda *_, **__: measured)
    monkeypatch.setattr(cli, "load_bounds", lambda: {part.value: {"golden_cases": bound} for part in cli.Part})
    monkeypatch.setattr(approval, "files", lambda _: tmp_path)
    result = CliRunner().invoke(cli.app, ["--accept", "--endpoint", "http://127.0.0.1:9", "--root", str(tmp_path)])
    assert result.exit_code == (0 if accepted else 1), result.output
    assert (tmp_path / "approved.json").exists() is accepted
    if accepted:
        assert approved_version() == current_version()
        figures = json.loads((tmp_path / "approved.json").read_text())["figures"]
        assert figures == {"injection": {"golden_cases": 80}, "risk": {"golden_cases": 80}}


def test_a_curve_says_what_flagging_from_each_score_on_is_worth() -> None:
    found = [
        Outcome(bad, "label", Decision("allow", "", score, "low", 1.0, "rules"))
        for score, bad in ((0.1, False), (0.4, True), (0.6, False), (0.8, True))
    ]
    points = {point.threshold: point for point in curve(found)}
    assert points[0] == (0, 0.5, 1)
    assert points[0.5] == (0.5, 0.5, 0.5)
    assert points[0.7] == (0.7, 1, 0.5)
    assert points[1] == (1, None, 0)


def test_the_same_figures_give_the_same_picture(tmp_path: Path) -> None:
    sides = [Side(name, curve([outcome("allow", bad=True)]), cost) for name, cost in (("rules", 0.0), ("both", 0.01))]
    for name in ("a.svg", "b.svg"):
        draw(tmp_path / name, sides, flag_from=0.5, subtitle="figures of a test")
    first, second = ((tmp_path / name).read_text() for name in ("a.svg", "b.svg"))
    assert first == second
    assert "$0.0100" in first


def test_latency_is_the_median_and_the_95th_percentile() -> None:
    assert latency("x", [float(n) for n in range(100, 0, -1)]) == {"x_p50_ms": 51.0, "x_p95_ms": 96.0}
    assert latency("x", []) == {"x_p50_ms": 0.0, "x_p95_ms": 0.0}


def test_every_call_of_the_model_is_timed(agent_with: Any, grey: Any, call: Any) -> None:
    agent, model = agent_with(call(decision="nonsense"), call())
    times = CallTimes(model)
    deliberate_all(agent, [grey()])
    assert len(times.taken_ms) == 2
    assert all(taken > 0 for taken in times.taken_ms)


def test_generating_needs_no_langgraph() -> None:
    program = (
        "import sys, headgate_agent_risk.generator, headgate_agent_risk.standin\n"
        "sys.exit('langgraph' in sys.modules or 'langchain_core' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - fixed
