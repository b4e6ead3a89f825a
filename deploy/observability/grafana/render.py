"""Renders the panels described beside it to Grafana's dashboards: ``make dashboards``.

A description is a tenth of the JSON and can be read; what it leaves out is the same on every panel. A test holds the
JSON in dashboards/ against it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
DATASOURCE = {"type": "prometheus", "uid": "headgate-prometheus"}
COLUMNS, HEIGHT, WIDTHS = 24, 8, {"stat": 6, "timeseries": 8}
STAT_HEIGHT = 4


def dashboards() -> dict[Path, str]:
    """Every dashboard's JSON by the file it belongs into."""
    return {
        HERE / "dashboards" / f"{source.stem}.json": json.dumps(dashboard(yaml.safe_load(source.read_text())), indent=2)
        + "\n"
        for source in sorted(HERE.glob("*.yaml"))
    }


def dashboard(described: dict[str, Any]) -> dict[str, Any]:
    """One dashboard as Grafana takes it."""
    return {
        "uid": described["uid"],
        "title": described["title"],
        "tags": ["headgate"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": [instances(described["job"])]},
        "links": [{"type": "dashboards", "tags": ["headgate"], "title": "Headgate", "asDropdown": True}],
        "panels": panels(described["rows"]),
    }


def instances(job: str) -> dict[str, Any]:
    """The variable ``$instance``: all replicas of the jobs, or some."""
    return {
        "name": "instance",
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": f'label_values(up{{job=~"{job}"}}, instance)', "refId": "instance"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def panels(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The panels of all rows, each row under its title, from left to right."""
    found: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        found.append({"id": len(found) + 1, "type": "row", "title": row["title"], "collapsed": False, "panels": []})
        found[-1]["gridPos"] = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        x, y, below = 0, y + 1, 0
        for described in row["panels"]:
            kind = described.get("kind", "timeseries")
            width = described.get("width", WIDTHS[kind])
            if x + width > COLUMNS:
                x, y, below = 0, y + below, 0
            height = STAT_HEIGHT if kind == "stat" else HEIGHT
            place = {"x": x, "y": y, "w": width, "h": height}
            found.append({"id": len(found) + 1, "gridPos": place} | panel(kind, described))
            x, below = x + width, max(below, height)
        y += below
    return found


def panel(kind: str, described: dict[str, Any]) -> dict[str, Any]:
    """One panel without its place."""
    thresholds = described.get("thresholds", {0: "green"})
    steps = [{"value": value or None, "color": color} for value, color in thresholds.items()]
    defaults = {"unit": described["unit"], "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if kind == "timeseries" and len(steps) > 1:
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    queries = [query if isinstance(query, dict) else {"expr": query} for query in described["queries"]]
    return {
        "type": kind,
        "title": described["title"],
        "description": described["description"],
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": query["expr"], "legendFormat": query.get("legend", "")}
            for number, query in enumerate(queries)
        ],
    }


if __name__ == "__main__":
    for path, text in dashboards().items():
        path.write_text(text, encoding="utf-8")
