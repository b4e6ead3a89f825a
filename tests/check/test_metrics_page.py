"""The page on observability lists what the services export: names, types, labels, and units that the names hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from headgate_enricher.budget.metrics import BudgetMetrics
from headgate_enricher.gateway.metrics import GatewayMetrics
from headgate_enricher.mcp.metrics import McpMetrics
from headgate_enricher.metrics import EnricherMetrics
from headgate_enricher.reviews.metrics import ReviewsMetrics
from headgate_enricher.shadow.metrics import ShadowMetrics
from headgate_producer.metrics import ProducerMetrics
from headgate_runtime.lineage import LineageMetrics
from headgate_runtime.metrics import Metrics
from headgate_writer.maintenance.metrics import MaintenanceMetrics
from headgate_writer.metrics import WriterMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"
ROW = re.compile(r"\| `(\w+)` \| (\w+) \| (\w+) \| ([\w, ]*) ?\| .+ \|")
SECTIONS: dict[str, list[Callable[[Metrics], Any]]] = {
    "Every service": [],
    "Producer": [ProducerMetrics],
    "Enricher": [EnricherMetrics, GatewayMetrics, BudgetMetrics, McpMetrics, ShadowMetrics],
    "Reviews": [ReviewsMetrics],
    "Writer": [WriterMetrics, LineageMetrics, MaintenanceMetrics],
}


class Shown(NamedTuple):
    name: str
    kind: str
    labels: tuple[str, ...]


def rows(section: str) -> list[re.Match[str]]:
    text = PAGE.read_text("utf-8").partition(f"\n### {section}\n")[2].partition("\n#")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    found = [ROW.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if match is None]
    return [match for match in found if match is not None]


def documented(section: str) -> set[Shown]:
    return {
        Shown(name, kind, tuple(label.strip() for label in labels.split(",") if label.strip()))
        for name, kind, _, labels in (row.groups() for row in rows(section))
    }


def exported(parts: list[Callable[[Metrics], Any]]) -> set[Shown]:
    metrics = Metrics()
    own = set(metrics.registry._collector_to_names) if parts else set()
    for part in parts:
        part(metrics)
    return {
        Shown(family.name + ("_total" if family.type == "counter" else ""), family.type, labels_of(collector))
        for collector in set(metrics.registry._collector_to_names) - own
        for family in collector.collect()
    }


def labels_of(collector: Any) -> tuple[str, ...]:
    return tuple(collector._labelnames if hasattr(collector, "_labelnames") else collector._labels)


@pytest.mark.parametrize("section", list(SECTIONS))
def test_each_exported_metric_is_on_the_page_and_no_other_is(section: str) -> None:
    assert documented(section) == exported(SECTIONS[section])


@pytest.mark.parametrize("section", list(SECTIONS))
def test_each_metrics_name_holds_its_unit(section: str) -> None:
    units = {row[1]: row[3] for row in rows(section)}
    assert {name: unit for name, unit in units.items() if unit.rstrip("s") not in name} == {}
