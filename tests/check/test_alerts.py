"""Rules ask for metrics that services export; an alert is tested both ways, and leads to a page that says what to do."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
import yaml

from tests.check.queries import PROMETHEUS, ROOT, Rule, faults, known, rules

RULES = rules()
ALERTS = [rule for rule in RULES if rule.alert is not None]
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
METRIC = re.compile(r"\b(?:headgate[:_]|gen_ai_client_|process_)[\w:]+")
RUNBOOKS = ROOT / "docs" / "runbooks" / "alerts.md"
NATIVE_DECODER = "headgate_avro"


@pytest.fixture(scope="module")
def there() -> dict[str, set[str]]:
    return known()


def checks_of(file: str) -> list[dict[str, Any]]:
    text = (PROMETHEUS / file.replace(".rules.", ".test.")).read_text("utf-8")
    return [check for test in yaml.safe_load(text)["tests"] for check in test["alert_rule_test"]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.alert or rule.record)
def test_a_rule_asks_for_what_is_exported(rule: Rule, there: dict[str, set[str]]) -> None:
    assert faults(rule.expr, there) == []


def test_what_is_not_exported_is_found(there: dict[str, set[str]]) -> None:
    wrong = 'sum by (table) (rate(headgate_dead_letters_total{topic="t"}[5m])) / headgate_dead_letter_total'
    assert [fault.partition(" in ")[0] for fault in faults(wrong, there)] == [
        "no label table",
        "no label topic",
        "no metric headgate_dead_letter_total",
    ]
    assert faults("headgate_decision_latency_seconds", there) == ["no metric headgate_decision_latency_seconds"]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.alert)
def test_an_alert_is_tested_silent_and_firing(rule: Rule) -> None:
    fires = Counter(bool(check["exp_alerts"]) for check in checks_of(rule.file) if check["alertname"] == rule.alert)
    assert fires[True] >= 1
    assert fires[False] >= 1


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.alert)
def test_an_alert_says_how_urgent_it_is_and_leads_to_its_runbook(rule: Rule) -> None:
    assert rule.labels["severity"] in {"page", "ticket"}
    page, _, anchor = rule.annotations["runbook"].partition("#")
    assert anchor in {heading.lower() for heading in HEADING.findall((ROOT / page).read_text("utf-8"))}


def test_runbooks_are_of_alerts_that_there_are() -> None:
    headings = HEADING.findall(RUNBOOKS.read_text("utf-8"))
    assert sorted(name for name in headings if name.startswith("Headgate")) == sorted(
        str(rule.alert) for rule in ALERTS
    )


def test_runbooks_look_at_metrics_that_there_are(there: dict[str, set[str]]) -> None:
    named = set(METRIC.findall(RUNBOOKS.read_text("utf-8"))) - {NATIVE_DECODER}
    assert named - set(there) - {name.removesuffix("_bucket") for name in there} == set()
