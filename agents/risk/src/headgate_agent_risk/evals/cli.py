"""``headgate eval``: gate a change of the agent's rules, policy, features, fallback, guard or tools."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from headgate_agent_risk.agent import RiskAgent
from headgate_agent_risk.context import load_context
from headgate_agent_risk.evals.cases import load_bounds, load_golden
from headgate_agent_risk.evals.injection import InjectionEvaluation, load_injections
from headgate_agent_risk.evals.measure import Evaluation, Figures, Price
from headgate_agent_risk.evals.report import missed, table, write

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from headgate_agent_risk.context import RiskContext

app = typer.Typer(
    add_completion=False, help="Evaluate the risk agent on golden events, generated traffic and injections."
)


class Part(enum.StrEnum):
    """What is evaluated; each writes the report of its name."""

    RISK = "risk"
    INJECTION = "injection"


@app.callback(invoke_without_command=True)
def evaluate(  # noqa: PLR0917 (typer makes an option of each)
    only: Annotated[Part | None, typer.Option(help="One part; both without it.")] = None,
    events: Annotated[int, typer.Option(min=5_000, help="Generated events.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the generated events.")] = 7,
    endpoint: Annotated[str | None, typer.Option(help="Bedrock Runtime URL; without it no model is asked.")] = None,
    model_id: Annotated[str, typer.Option(help="Model asked at the endpoint.")] = "us.amazon.nova-micro-v1:0",
    region: Annotated[str, typer.Option(help="Region of the endpoint.")] = "us-east-1",
    price: Annotated[
        tuple[float, float], typer.Option(help="US dollars per million tokens in and out, nova-micro's of 2026-10.")
    ] = (0.035, 0.14),
    root: Annotated[Path, typer.Option(help="Where build/eval/*.json are written.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure precision and recall, and try to talk the agent round; exits 1 when a figure misses its bound."""
    context = load_context(model_id if endpoint else "none")
    model = _model(endpoint, model_id, region) if endpoint else None
    failed: list[str] = []
    for part in [only] if only else list(Part):
        figures, surprises = _measured(part, context, model, events=events, seed=seed, price=Price(*price))
        failed += _report(
            part, figures, surprises, context, root, model_id=model_id if endpoint else None, plain=as_json
        )
    if failed:
        typer.echo(f"missed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def _measured(
    part: Part, context: RiskContext, model: BaseChatModel | None, *, events: int, seed: int, price: Price
) -> tuple[Figures, list[str]]:
    if part is Part.INJECTION:
        return InjectionEvaluation(context, load_injections()).run(model)
    evaluation = Evaluation(context)
    figures, surprises = evaluation.golden(load_golden())
    agent = RiskAgent(model, context) if model else None
    return figures | evaluation.generated(seed=seed, events=events, agent=agent, price=price), surprises


def _report(
    part: Part,
    figures: Figures,
    surprises: list[str],
    context: RiskContext,
    root: Path,
    *,
    model_id: str | None,
    plain: bool,
) -> list[str]:
    """Write and show a part's figures; returns those that miss their bound."""
    known = load_bounds()
    bounds = known[part.value] | (known.get(f"{part.value}_model", {}) if model_id else {})
    failed = missed(figures, bounds)
    details: dict[str, Any] = {"agent_version": context.version, "model_id": model_id, "surprises": surprises}
    path = write(root, part.value, figures, details)
    if plain:
        typer.echo(json.dumps({"part": part.value, "figures": figures, "missed": failed, "surprises": surprises}))
        return failed
    console = Console()
    console.print(table(f"risk agent, {part.value}: {model_id or 'no model asked'}", figures, bounds))
    for surprise in surprises:
        console.print(f"  {surprise}", markup=False, highlight=False)
    console.print(f"Written: {path}")
    return failed


def _model(url: str, model_id: str, region: str) -> BaseChatModel:
    try:
        from headgate_agent_risk.evals.endpoint import bedrock_model  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise typer.BadParameter(
            "asking an endpoint needs langchain-aws: install headgate-agent-risk[evals]", param_hint="--endpoint"
        ) from error
    return bedrock_model(url, model_id=model_id, region=region)
