"""Dashboards ask for metrics that services export, say what they show and in which unit, and are what was described."""

from __future__ import annotations

import json
import runpy
from typing import Any

import pytest

from tests.check.queries import ROOT, faults, known

GRAFANA = ROOT / "deploy" / "observability" / "grafana"
DASHBOARDS = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
    if panel["type"] != "row"
]


@pytest.fixture(scope="module")
def there() -> dict[str, set[str]]:
    return known()


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_for_what_is_exported(panel: dict[str, Any], there: dict[str, set[str]]) -> None:
    assert [fault for target in panel["targets"] for fault in faults(target["expr"], there)] == []


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_has_a_unit_and_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["description"].endswith(".")


def test_each_dashboard_has_an_address_of_its_own() -> None:
    assert {name: dashboard["uid"] for name, dashboard in DASHBOARDS.items()} == {
        name: f"headgate-{name}" for name in DASHBOARDS
    }


def test_dashboards_are_rendered_from_their_descriptions() -> None:
    rendered = runpy.run_path(str(GRAFANA / "render.py"))["dashboards"]()
    assert {path.name: path.read_text("utf-8") for path in (GRAFANA / "dashboards").iterdir()} == {
        path.name: text for path, text in rendered.items()
    }, "render them anew: make dashboards"
