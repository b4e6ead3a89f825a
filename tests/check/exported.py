"""What the services export, read from their own metrics objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from headgate_enricher.budget.metrics import BudgetMetrics
from headgate_enricher.gateway.metrics import GatewayMetrics
from headgate_enricher.mcp.metrics import McpMetrics
from headgate_enricher.metrics import EnricherMetrics
from headgate_enricher.profiles.metrics import ProfileMetrics
from headgate_enricher.reviews.metrics import ReviewsMetrics
from headgate_enricher.shadow.metrics import ShadowMetrics
from headgate_processor.metrics import ProcessorMetrics
from headgate_producer.metrics import ProducerMetrics
from headgate_runtime.lineage import LineageMetrics
from headgate_runtime.metrics import Metrics
from headgate_writer.maintenance.metrics import MaintenanceMetrics
from headgate_writer.metrics import WriterMetrics
from prometheus_client import ProcessCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The sections of the page on observability, each with what makes its metrics beside the runtime's own.
SECTIONS: Mapping[str, list[Callable[[Metrics], Any]]] = {
    "Every service": [],
    "Producer": [ProducerMetrics],
    "Enricher": [EnricherMetrics, GatewayMetrics, BudgetMetrics, McpMetrics, ProfileMetrics, ShadowMetrics],
    "Reviews": [ReviewsMetrics],
    "Processor": [ProcessorMetrics],
    "Writer": [WriterMetrics, LineageMetrics, MaintenanceMetrics],
}


class Exported(NamedTuple):
    """A metric, its name as a scrape shows it without the suffixes of a histogram; a stateset's label has its name."""

    name: str
    kind: str
    labels: tuple[str, ...]


def exported(section: str) -> set[Exported]:
    """What a section's parts export; the runtime's own only for the section of every service."""
    metrics, parts = Metrics(), SECTIONS[section]
    own = set(metrics.registry._collector_to_names) if parts else set()
    for part in parts:
        part(metrics)
    return {
        Exported(family.name + ("_total" if family.type == "counter" else ""), family.type, _labels(collector))
        for collector in set(metrics.registry._collector_to_names) - own
        for family in collector.collect()
    }


def series() -> dict[str, set[str]]:
    """The labels of every series that a scrape of all services shows, those of the target left out, by its name."""
    found: dict[str, set[str]] = {}
    for metric in set().union(*map(exported, SECTIONS)):
        for name, labels in _series(metric):
            found.setdefault(name, set()).update(labels)
    return found


def _series(metric: Exported) -> list[tuple[str, set[str]]]:
    labels = set(metric.labels)
    match metric.kind:
        case "histogram":
            name = metric.name
            return [(f"{name}_bucket", labels | {"le"}), (f"{name}_sum", labels), (f"{name}_count", labels)]
        case "stateset":
            return [(metric.name, labels | {metric.name})]
    return [(metric.name, labels)]


def _labels(collector: Any) -> tuple[str, ...]:
    if isinstance(collector, ProcessCollector):
        return ()
    return tuple(collector._labelnames if hasattr(collector, "_labelnames") else collector._labels)
