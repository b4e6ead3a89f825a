"""``headgate agent divergence``: how often shadow agents decide otherwise, and what that would cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer
from headgate_runtime.avro import Decoder
from headgate_runtime.errors import UndecodableError
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

from headgate_admin.config import load_settings
from headgate_admin.options import BootstrapServers, ContractsDir, Json, RegistryUrl  # noqa: TC001  # typer reads them
from headgate_admin.output import reporting, table_of
from headgate_admin.reading import newest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headgate_runtime.records import Record
    from headgate_runtime.registry import SchemaRegistry

    from headgate_admin.config import AdminSettings
    from headgate_admin.reading import ReadNewest

COLUMNS = ("shadow", "version", "holds", "shadow says", "events", "share")

app = typer.Typer(add_completion=False)


@dataclass
class Comparison:
    """What one version of a shadow agent decided, held against what holds.

    Attributes:
        decisions: Events by the decision that holds and the shadow's.
        score_difference: Sum of the shadow's risk scores less those that hold.
        holding_cost: Cost of the decisions that hold, in millionths of a US dollar.
        shadow_cost: Cost of the shadow's, the same.
        fallbacks: Events the shadow decided by its fallback, by reason.
    """

    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    score_difference: float = 0.0
    holding_cost: int = 0
    shadow_cost: int = 0
    fallbacks: Counter[str] = field(default_factory=Counter)

    def add(self, value: Mapping[str, Any]) -> None:
        """Count one divergence record."""
        holding, shadow = value["holding"], value["shadow"]
        self.decisions[holding["decision"], shadow["decision"]] += 1
        self.score_difference += value["risk_score_difference"]
        self.holding_cost += holding["cost_microdollars"]
        self.shadow_cost += shadow["cost_microdollars"]
        if shadow["fallback_reason"] is not None:
            self.fallbacks[shadow["fallback_reason"]] += 1

    def document(self) -> dict[str, Any]:
        """All of it in JSON form; the matrix has the decisions that hold outside, the shadow's inside."""
        compared = self.decisions.total()
        diverged = sum(count for (holding, shadow), count in self.decisions.items() if holding != shadow)
        matrix: dict[str, dict[str, int]] = {}
        for (holding, shadow), count in sorted(self.decisions.items()):
            matrix.setdefault(holding, {})[shadow] = count
        return {
            "compared": compared,
            "diverged": diverged,
            "rate": diverged / compared,
            "mean_risk_score_difference": self.score_difference / compared,
            "holding_cost_microdollars": self.holding_cost,
            "shadow_cost_microdollars": self.shadow_cost,
            "shadow_fallbacks": dict(self.fallbacks),
            "decisions": matrix,
        }


def connect(settings: AdminSettings) -> tuple[SchemaRegistry, ReadNewest]:
    """Connections to the addresses of the settings."""
    return ConfluentRegistry(settings.registry), newest(settings.kafka)


@app.command()
def divergence(
    *,
    agent: Annotated[str | None, typer.Option(help="Only this shadow agent.")] = None,
    count: Annotated[
        int, typer.Option("--newest", min=1, help="Records read of each partition, the newest.")
    ] = 100_000,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Summarise how shadow agents decide beside the agents that hold, by the shadow's version."""
    with reporting(as_json=json) as output:
        settings = load_settings(bootstrap_servers=bootstrap_servers, registry_url=registry_url, contracts=contracts)
        output.note(f"Kafka at {settings.origin(settings.kafka.bootstrap_servers)}")
        known = Contracts.load(settings.contracts_dir)
        topic = known.topic(settings.divergence_topic)
        registry, read = connect(settings)
        decoder = Decoder(registry, known.record(topic.record))
        comparisons: dict[tuple[str, str], Comparison] = {}
        unreadable = 0

        def take(record: Record) -> None:
            nonlocal unreadable
            try:
                value = decoder.decode(record.value)
            except UndecodableError:
                unreadable += 1
                return
            shadow = value["shadow"]["agent"], value["shadow"]["agent_version"]
            if agent in {None, shadow[0]}:
                comparisons.setdefault(shadow, Comparison()).add(value)

        read(topic.topic, count, take)
        shadows = [
            {"agent": name, "agent_version": version, **found.document()}
            for (name, version), found in sorted(comparisons.items())
        ]
        table = table_of(COLUMNS, (row for shadow in shadows for row in _rows(shadow)))
        lines = [_line(shadow) for shadow in shadows] or ["no decisions compared"]
        summary = "\n".join([*lines, f"{unreadable:,} records cannot be read"] if unreadable else lines)
        output.result({"shadows": shadows, "unreadable": unreadable}, summary, table)


def _rows(shadow: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """One line a pair of decisions."""
    for holding, decisions in shadow["decisions"].items():
        for decided, count in decisions.items():
            share = f"{count / shadow['compared']:.2%}"
            yield shadow["agent"], shadow["agent_version"], holding, decided, f"{count:,}", share


def _line(shadow: Mapping[str, Any]) -> str:
    fallbacks = sum(shadow["shadow_fallbacks"].values())
    return (
        f"{shadow['agent']} {shadow['agent_version']}: {shadow['diverged']:,} of {shadow['compared']:,} decisions diverge "
        f"({shadow['rate']:.2%}), risk score {shadow['mean_risk_score_difference']:+.3f} on average, "
        f"${shadow['shadow_cost_microdollars'] / 1e6:.6f} where ${shadow['holding_cost_microdollars'] / 1e6:.6f} was paid, "
        f"{fallbacks:,} fallbacks"
    )
