"""What a PromQL expression asks for, held against the series there are: names, and labels wherever it uses them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import promql_parser as promql
import yaml

from tests.check.exported import series

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "observability" / "prometheus"
TARGET = {"job", "instance"}
# Prometheus' own: whether a target answered, and what fires.
OWN = {"up": set[str](), "ALERTS": {"alertname", "alertstate", "severity"}}
_RANGES = ("$__rate_interval", "5m")


class Rule(NamedTuple):
    """A rule as its file has it; exactly one of ``record`` and ``alert`` is a name."""

    file: str
    record: str | None
    alert: str | None
    expr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def rules() -> list[Rule]:
    """Every rule, in the order in which they are evaluated within a file."""
    return [
        Rule(path.name, rule.get("record"), rule.get("alert"), rule["expr"], *_said(rule))
        for path in sorted(PROMETHEUS.glob("*.rules.yaml"))
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]


def _said(rule: Mapping[str, Any]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    return rule.get("labels", {}), rule.get("annotations", {})


def known() -> dict[str, set[str]]:
    """Labels of every series that is exported or recorded, by its name."""
    found = {name: labels | TARGET for name, labels in (series() | OWN).items()}
    for rule in rules():
        if rule.record is not None:
            labels = labels_of(parsed(rule.expr), found) | set(rule.labels)
            found[rule.record] = found.get(rule.record, set()) | labels
    return found


def parsed(expression: str) -> Any:
    """Parse an expression, a dashboard's too."""
    return promql.parse(expression.replace(*_RANGES))


def faults(expression: str, there: Mapping[str, set[str]]) -> list[str]:
    """What an expression names that is not there."""
    found = []
    for part in _parts(parsed(expression)):
        if isinstance(part, promql.VectorSelector):
            name = str(part.name)
            if name not in there:
                found.append(f"no metric {name}")
                continue
            asked, has = {matcher.name for matcher in part.matchers.matchers}, there[name]
        else:
            asked, has = _named(part), set[str]().union(*(labels_of(child, there) for child in _children(part)))
        found += [f"no label {label} in {part.prettify().strip()}" for label in sorted(asked - has)]
    return found


def labels_of(part: Any, there: Mapping[str, set[str]]) -> set[str]:
    """Labels that a result may have."""
    if isinstance(part, promql.VectorSelector):
        return set(there.get(str(part.name), ()))
    if isinstance(part, promql.AggregateExpr):
        if part.modifier is None:
            return set()
        inner, listed = labels_of(part.expr, there), set(part.modifier.labels)
        return inner & listed if part.modifier.type == promql.AggModifierType.By else inner - listed
    if isinstance(part, promql.Call) and part.func.name == "absent":
        return {matcher.name for matcher in part.args[0].matchers.matchers}
    found = set[str]().union(*(labels_of(child, there) for child in _children(part)))
    return found - {"le"} if isinstance(part, promql.Call) and part.func.name == "histogram_quantile" else found


def _named(part: Any) -> set[str]:
    """Labels that an aggregation or an operator names."""
    if isinstance(part, promql.AggregateExpr) and part.modifier is not None:
        return set(part.modifier.labels)
    if isinstance(part, promql.BinaryExpr) and part.modifier is not None and part.modifier.matching is not None:
        return set(part.modifier.matching.labels)
    return set()


def _parts(part: Any) -> Iterator[Any]:
    yield part
    for child in _children(part):
        yield from _parts(child)


def _children(part: Any) -> list[Any]:
    if isinstance(part, promql.BinaryExpr):
        return [part.lhs, part.rhs]
    if isinstance(part, promql.Call):
        return list(part.args)
    if isinstance(part, promql.MatrixSelector):
        return [part.vector_selector]
    inner = getattr(part, "expr", None)
    return [] if inner is None else [inner]
